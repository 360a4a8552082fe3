module github.com/cloudtell/cloudtell/examples/storebench

go 1.26

require (
	github.com/cloudtell/cloudtell v0.0.0
	github.com/cloudtell/cloudtell/baseline/boltstore v0.0.0
	github.com/cloudtell/cloudtell/baseline/pgstore v0.0.0
	github.com/cloudtell/cloudtell/baseline/valkeystore v0.0.0
	github.com/valkey-io/valkey-go v1.0.79
)

require (
	github.com/jackc/pgpassfile v1.0.0 // indirect
	github.com/jackc/pgservicefile v0.0.0-20240606120523-5a60cdf6a761 // indirect
	github.com/jackc/pgx/v5 v5.12.0 // indirect
	github.com/jackc/puddle/v2 v2.2.3 // indirect
	go.etcd.io/bbolt v1.5.0 // indirect
	golang.org/x/sync v0.22.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
)

replace (
	github.com/cloudtell/cloudtell => ../..
	github.com/cloudtell/cloudtell/baseline/boltstore => ../../baseline/boltstore
	github.com/cloudtell/cloudtell/baseline/pgstore => ../../baseline/pgstore
	github.com/cloudtell/cloudtell/baseline/valkeystore => ../../baseline/valkeystore
)
