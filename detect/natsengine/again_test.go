package natsengine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/cloudtell/cloudtell/detect/natsengine"
	"github.com/cloudtell/cloudtell/detect/worker"
)

// The streams are deleted and set up again under a source that goes on. What it
// then says of the new messages must not be taken for the place of old ones.
func TestSetUpAgain(t *testing.T) {
	for _, received := range []int{0, 3} {
		t.Run(fmt.Sprint("after ", received, " messages"), func(t *testing.T) {
			js := connect(t)
			c := &natsengine.Config{Partitions: 1, Lease: 300 * time.Millisecond}
			e := open(t, js, c)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			source, err := e.Source(ctx)
			require.NoError(t, err)
			defer source.Close()
			for i := range received {
				require.NoError(t, e.Send(ctx, []worker.Routed{{ID: fmt.Sprint("a", i), Scope: "principal", Data: []byte("{}")}}))
				batch, err := source.Next(ctx)
				require.NoError(t, err)
				require.NoError(t, source.Ack(ctx, batch))
			}
			for _, stream := range []string{"cloudtell-events", "cloudtell-findings", "cloudtell-dead", "KV_cloudtell-records"} {
				require.NoError(t, js.DeleteStream(ctx, stream))
			}
			anew := open(t, js, c)
			require.NoError(t, anew.Send(ctx, []worker.Routed{{ID: "b", Scope: "principal", Data: []byte("{}")}}))
			for told := 0; told < 3; {
				batch, err := source.Next(ctx)
				require.Empty(t, batch)
				require.Error(t, err)
				require.NoError(t, ctx.Err())
				if strings.Contains(err.Error(), "created anew") {
					told++
				}
			}

			next, err := anew.Source(ctx)
			require.NoError(t, err)
			defer next.Close()
			source.Close()
			for err = ctx.Err(); err == nil; {
				var batch []worker.Message
				if batch, err = next.Next(ctx); len(batch) > 0 {
					require.Equal(t, uint64(1), batch[0].Offset)
					return
				}
			}
			require.NoError(t, err)
		})
	}
}
