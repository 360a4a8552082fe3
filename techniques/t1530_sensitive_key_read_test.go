package techniques

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSensitiveFile(t *testing.T) {
	for key, want := range map[string]fileKind{
		"home/bob/.aws/credentials": credentialFile,
		".aws/credentials":          credentialFile,
		"alice_accessKeys.csv":      credentialFile,
		"rootkey.csv":               credentialFile,
		"vault.kdbx":                credentialFile,
		"id_rsa":                    privateKeyFile,
		"bob/.ssh/id_ed25519":       privateKeyFile,
		"Bastion.PEM":               privateKeyFile,
		"bastion.ppk":               privateKeyFile,
		"server.key":                privateKeyFile,
		"jwt/private_key":           privateKeyFile,
		"jwt/privateKey.json":       privateKeyFile,
		"jwt/privatekey.json":       privateKeyFile,
		".env":                      environment,
		"shop/prod.env":             environment,
		"shop/.env.local":           environment,
		"prod/network.tfstate":      terraformState,
		"network.tfstate.backup":    terraformState,
		"shop.sql":                  databaseDump,
		"2026/shop.sql.gz":          databaseDump,
		"pg-dump-2026-01-20.tar.gz": databaseDump,
		"redis/dump.rdb":            databaseDump,
		"shop.mysqldump":            databaseDump,
		"disk.bak":                  backupFile,
		"disk.bak.zst":              backupFile,

		"":                         "",
		"credentials":              "",
		"docs/aws/credentials":     "",
		"id_rsa.pub":               "",
		"my_id_rsa_notes.txt":      "",
		"global-bundle.pem":        "",
		"ssl/fullchain.pem":        "",
		"ssl/public.key":           "",
		"hotkey":                   "",
		"environment":              "",
		"dumpling.jpg":             "",
		"private/key-figures.xlsx": "",
		"report.mysql.csv":         "",
		"foo.gz":                   "",
		"pem":                      "",
		"ca.env":                   environment,
		"public.sql":               databaseDump,
		"jwt/private-notes.txt":    "",
		"flapmonkey.jpg":           "",
		"privateers.txt":           "",
	} {
		assert.Equal(t, want, sensitiveFile(key), "%q", key)
	}
}
