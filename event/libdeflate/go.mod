module github.com/cloudtell/cloudtell/event/libdeflate

go 1.26

require (
	github.com/cloudtell/cloudtell v0.0.0
	github.com/ebitengine/purego v0.9.1
	github.com/stretchr/testify v1.12.1
)

require go.yaml.in/yaml/v3 v3.0.5 // indirect

replace github.com/cloudtell/cloudtell => ../..
