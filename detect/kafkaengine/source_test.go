package kafkaengine

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A partition that cannot be read holds back no other, and is told of when the
// others have had their turn, however busy they are.
func TestErrorsAreTold(t *testing.T) {
	client, err := kgo.NewClient(kgo.SeedBrokers("127.0.0.1:1"))
	require.NoError(t, err)
	defer client.Close()
	s := &Source{e: &Engine{c: Config{Name: "cloudtell"}}, client: client}
	const topic = "cloudtell.events.principal"
	messages := s.take(kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: topic, Partitions: []kgo.FetchPartition{
		{Partition: 0, Err: kerr.TopicAuthorizationFailed},
		{Partition: 1, Records: []*kgo.Record{{Topic: topic, Partition: 1, Offset: 7, Value: []byte("x")}}},
	}}}}})
	require.Len(t, messages, 1)
	assert.Equal(t, "principal", messages[0].Scope)
	assert.Equal(t, uint64(7), messages[0].Offset)

	_, err = s.Next(t.Context())
	require.ErrorIs(t, err, kerr.TopicAuthorizationFailed)
	assert.NoError(t, s.failed, "once each")

	s.take(kgo.NewErrFetch(context.Canceled))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Next(cancelled)
	require.ErrorIs(t, err, context.Canceled)
	assert.NoError(t, s.failed, "the next context is another")
}
