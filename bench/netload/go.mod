module weft.dev/netload

go 1.24
