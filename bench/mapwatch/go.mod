module weft.dev/mapwatch

go 1.24
