// Package valkeystore keeps baselines in Valkey or Redis: a [baseline.Store]
// for several processes, through github.com/valkey-io/valkey-go.
//
// Each record is a key of its own, compared and swapped by a script on the
// server; a batch is one pipeline. No command touches two keys, so a cluster
// will do.
package valkeystore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloudtell/cloudtell/baseline"
)

// Under the prefix there are schemaKey, the version of what is stored, and the
// records, each under recordKey and its key. A record's value is its version
// in eight bytes, most significant first, and its data.
const (
	defaultPrefix = "cloudtell:"
	schemaKey     = "schema"
	schema        = "1"
	recordKey     = "record:"
	versionSize   = 8
)

// ErrEviction says that a server may throw records away when its memory is
// full. Its maxmemory-policy must be noeviction.
var ErrEviction = errors.New("valkeystore: the server evicts keys")

// swap stores ARGV[2] if what is stored begins with ARGV[1], the version
// expected, or if both are empty. ARGV[3] is the time to live in milliseconds,
// or 0.
var swap = valkey.NewLuaScript(`
if redis.call('GETRANGE', KEYS[1], 0, 7) ~= ARGV[1] then return 0 end
if ARGV[3] == '0' then
	redis.call('SET', KEYS[1], ARGV[2])
else
	redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1`)

// Options configures a [Store]. Nil, and the zero value of every field, mean
// the defaults.
type Options struct {
	// Prefix is what the store's keys on the server begin with. Stores with
	// different prefixes are apart. The default is "cloudtell:".
	Prefix string
	// TTL is how long the server keeps a record after it was last saved. It
	// should be much longer than the quiet times of a principal that is to be
	// remembered: months. At least a millisecond; the default is for ever.
	TTL time.Duration
}

// A Store is a [baseline.Store] on a server or cluster. Any number of
// goroutines and processes may use it.
type Store struct {
	client valkey.Client
	prefix string
	ttl    string
}

var _ baseline.Store = (*Store)(nil)

// Open connects to the server, or to the cluster or sentinels, that the
// client's options name; package valkey makes them of an URL, too. The store
// sets those that its contract depends on: one connection to each server, so
// that commands are carried out in the order in which they were given, no
// retries, and no cache.
//
// It returns an error that wraps [ErrEviction] if a server's maxmemory-policy
// is not noeviction, and one that wraps [baseline.ErrVersion] if the records
// were stored with a schema that this code does not know.
func Open(ctx context.Context, server valkey.ClientOption, o *Options) (*Store, error) {
	if o == nil {
		o = &Options{}
	}
	if o.TTL < 0 || o.TTL > 0 && o.TTL < time.Millisecond {
		return nil, fmt.Errorf("valkeystore: a time to live of %v; it must be 0 or at least a millisecond", o.TTL)
	}
	server.PipelineMultiplex, server.BlockingPipeline = -1, -1
	server.DisableRetry, server.DisableCache = true, true
	server.SendToReplicas, server.ReplicaOnly = nil, false
	client, err := valkey.NewClient(server)
	if err != nil {
		return nil, fmt.Errorf("valkeystore: open: %w", err)
	}
	s := &Store{
		client: client,
		prefix: cmp.Or(o.Prefix, defaultPrefix),
		ttl:    strconv.FormatInt(o.TTL.Milliseconds(), 10),
	}
	if err := errors.Join(s.checkEviction(ctx), s.checkSchema(ctx)); err != nil {
		client.Close()
		return nil, fmt.Errorf("valkeystore: open: %w", err)
	}
	return s, nil
}

// checkEviction reads the policy from INFO: services that forbid CONFIG allow
// that.
func (s *Store) checkEviction(ctx context.Context) error {
	for address, node := range s.client.Nodes() {
		info, err := node.Do(ctx, node.B().Info().Section("memory").Build()).ToString()
		if err != nil {
			return fmt.Errorf("%s: %w", address, err)
		}
		_, rest, _ := strings.Cut(info, "maxmemory_policy:")
		if policy, _, _ := strings.Cut(rest, "\r\n"); policy != "noeviction" {
			return fmt.Errorf("%s: maxmemory-policy is %q, must be noeviction: %w", address, policy, ErrEviction)
		}
	}
	return nil
}

func (s *Store) checkSchema(ctx context.Context) error {
	key := s.prefix + schemaKey
	err := s.client.Do(ctx, s.client.B().Set().Key(key).Value(schema).Nx().Build()).Error()
	if err != nil && !valkey.IsValkeyNil(err) {
		return err
	}
	stored, err := s.client.Do(ctx, s.client.B().Get().Key(key).Build()).ToString()
	if err != nil {
		return err
	}
	if stored != schema {
		return fmt.Errorf("%s is %.20q, this code reads %q: %w", key, stored, schema, baseline.ErrVersion)
	}
	return nil
}

// Close closes the connections. Calls in progress fail.
func (s *Store) Close() error {
	s.client.Close()
	return nil
}

// pipeline is the number of commands sent at once.
const pipeline = 1000

// Load implements [baseline.Store].
func (s *Store) Load(ctx context.Context, keys []string) ([]baseline.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("valkeystore: load: %w", err)
	}
	records := make([]baseline.Record, 0, len(keys))
	for some := range slices.Chunk(keys, pipeline) {
		commands := make(valkey.Commands, len(some))
		for i, key := range some {
			commands[i] = s.client.B().Get().Key(s.prefix + recordKey + key).Build()
		}
		for i, result := range s.client.DoMulti(ctx, commands...) {
			value, err := result.AsBytes()
			if err != nil && !valkey.IsValkeyNil(err) {
				return nil, fmt.Errorf("valkeystore: load %d records: %.80q: %w", len(keys), some[i], because(ctx, err))
			}
			version, data := decode(value)
			records = append(records, baseline.Record{Key: some[i], Version: version, Data: data})
		}
	}
	return records, nil
}

// Save implements [baseline.Store]. After an error that is no
// [*baseline.ConflictError], each record may be stored or not; a server may
// also store it a moment later, if the connection was lost.
func (s *Store) Save(ctx context.Context, records []baseline.Record) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("valkeystore: save: %w", err)
	}
	var conflict baseline.ConflictError
	for some := range slices.Chunk(records, pipeline) {
		swaps := make([]valkey.LuaExec, len(some))
		for i, r := range some {
			var expected []byte
			if r.Version > 0 {
				expected = binary.BigEndian.AppendUint64(nil, r.Version)
			}
			swaps[i] = valkey.LuaExec{
				Keys: []string{s.prefix + recordKey + r.Key},
				Args: []string{valkey.BinaryString(expected), valkey.BinaryString(encode(r.Version+1, r.Data)), s.ttl},
			}
		}
		for i, result := range swap.ExecMulti(ctx, s.client, swaps...) {
			swapped, err := result.AsInt64()
			if err != nil {
				return fmt.Errorf("valkeystore: save %d records: %.80q: %w", len(records), some[i].Key, because(ctx, err))
			}
			if swapped == 0 {
				conflict.Keys = append(conflict.Keys, some[i].Key)
			}
		}
	}
	if conflict.Keys != nil {
		return &conflict
	}
	return nil
}

// because returns the error, with the context's if that is why.
func because(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

func encode(version uint64, data []byte) []byte {
	b := make([]byte, 0, versionSize+len(data))
	return append(binary.BigEndian.AppendUint64(b, version), data...)
}

// decode takes a value apart. One that encode has not written, nil among them,
// is all data and of version 0: whoever decodes the data refuses it by name,
// and no other record of the batch suffers.
func decode(value []byte) (version uint64, data []byte) {
	if len(value) < versionSize {
		return 0, bytes.Clone(value)
	}
	return binary.BigEndian.Uint64(value), bytes.Clone(value[versionSize:])
}
