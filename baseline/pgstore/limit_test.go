//go:build unix

package pgstore_test

import (
	"os/exec"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

const noLimit = 1 << 40

// limitFiles lets the server's processes write no file beyond a size: to them,
// a full disk.
func (s *server) limitFiles(size int64) {
	s.t.Helper()
	c, err := pgx.Connect(s.t.Context(), s.connection())
	require.NoError(s.t, err)
	defer c.Close(s.t.Context())
	rows, err := c.Query(s.t.Context(), `select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()`)
	require.NoError(s.t, err)
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	require.NoError(s.t, err)
	require.NotEmpty(s.t, pids)
	prlimit, err := exec.LookPath("prlimit")
	require.NoError(s.t, err)
	for _, pid := range pids {
		out, err := s.command(prlimit, "--pid", strconv.Itoa(pid), "--fsize="+strconv.FormatInt(size, 10)+":").CombinedOutput()
		require.NoError(s.t, err, string(out))
	}
}
