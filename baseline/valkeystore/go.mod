module github.com/cloudtell/cloudtell/baseline/valkeystore

go 1.26

require (
	github.com/cloudtell/cloudtell v0.0.0
	github.com/stretchr/testify v1.12.1
	github.com/valkey-io/valkey-go v1.0.79
)

require (
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.47.0 // indirect
)

replace github.com/cloudtell/cloudtell => ../..
