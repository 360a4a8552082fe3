package worker

// OpenRecord returns the set's record of stored bytes.
func OpenRecord(stored []byte) ([]byte, error) {
	v, err := openEnvelope(stored)
	return v.record, err
}

// WithoutOutbox returns stored bytes without the outbox.
func WithoutOutbox(stored []byte) []byte {
	v, err := openEnvelope(stored)
	if err != nil {
		panic(err)
	}
	v.outbox = nil
	return v.encode()
}

const MaxOutbox = maxOutbox
