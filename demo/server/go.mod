module weft.dev/demo

go 1.24
