package wire

import (
	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
)

// Grants says what a program grants a plugin, one bit each.
type Grants uint32

// The grants.
const (
	GrantLog Grants = 1 << iota
	GrantFile
	GrantHTTP
	GrantClock
	GrantKV
	GrantRandom
)

// Configure is the first call: it makes the plugin's instance.
type Configure struct {
	Now      feedback.Time
	Settings []byte // a JSON object, checked and completed
	Instance string // the plugin's id in the program
	Major    uint16 // of the contract that the host speaks
	Minor    uint16
	Grants   Grants
	Files    []File // what the grant "file" gives
}

// File is a granted file. The id names it in file_stat and file_read for as long as the instance lives.
type File struct {
	ID uint32
	sdk.FileInfo
}

// The head of a configure frame; its records are files.
const (
	configureSettings = 32 // bytes
	configureInstance = 40 // string
	configureContract = 48 // u32: major<<16 | minor
	configureGrants   = 52 // u32
	configureHead     = 56
)

// A file's record.
const (
	fileName     = 0  // string
	fileBytes    = 8  // u64
	fileModified = 16 // i64
	fileIdentity = 24 // u64
	fileID       = 32 // u32
	fileSize     = 40
)

// A header's record: name and value. Frames write headers in the order of their names.
const headerSize = 16

// AppendConfigure appends the call that makes an instance.
func AppendConfigure(dst []byte, c *Configure) []byte {
	w := begin(dst, KindConfigure, configureHead, len(c.Files), fileSize)
	w.u64(atNow, uint64(c.Now))
	w.bytes(configureSettings, c.Settings)
	w.str(configureInstance, c.Instance)
	w.u32(configureContract, uint32(c.Major)<<16|uint32(c.Minor))
	w.u32(configureGrants, uint32(c.Grants))
	w.files(configureHead, c.Files)
	return w.end()
}

// ReadConfigure reads the call that makes an instance. What it returns does not alias b.
func ReadConfigure(b []byte) (Configure, error) {
	var r reader
	h, err := r.expect(b, KindConfigure, configureHead)
	if err != nil {
		return Configure{}, err
	}
	r.own()
	contract := le.Uint32(h[configureContract:])
	c := Configure{
		Now:      r.time(atNow, int64(le.Uint64(h[atNow:]))),
		Settings: r.bytes(le.Uint64(h[configureSettings:])),
		Instance: r.str(le.Uint64(h[configureInstance:])),
		Major:    uint16(contract >> 16),
		Minor:    uint16(contract),
		Grants:   Grants(le.Uint32(h[configureGrants:])),
		Files:    r.files(),
	}
	return c, r.done()
}

// AppendOK appends the answer that all is done.
func AppendOK(dst []byte) []byte {
	w := begin(dst, KindOK, HeaderSize, 0, 0)
	return w.end()
}

// ReadOK reads the answer to configure or deliver: nil when it says that all is done, *sdk.Failure when not.
func ReadOK(b []byte) error {
	var r reader
	_, err := r.expect(b, KindOK, HeaderSize)
	return err
}

// The head of a failure frame.
const (
	failureFlags   = 24 // u64: 1 fatal
	failureCode    = 32 // string
	failureMessage = 40 // string
	failureAfter   = 48 // u64: milliseconds
	failureHead    = 56
)

// AppendFailure appends the answer that the call failed with err, which is not nil; see sdk.FailureOf.
func AppendFailure(dst []byte, err error) []byte {
	f := sdk.FailureOf(err)
	w := begin(dst, KindFailure, failureHead, 0, 0)
	if f.Fatal {
		w.u64(failureFlags, 1)
	}
	w.str(failureCode, cutText(f.Code, MaxCode))
	w.str(failureMessage, cutText(f.Message, MaxMessage))
	w.u64(failureAfter, millis(f.After))
	return w.end()
}

// ReadFailure reads a failure frame.
func ReadFailure(b []byte) (*sdk.Failure, error) {
	var r reader
	if _, err := r.expect(b, KindFailure, failureHead); err != nil {
		return nil, err
	}
	return r.failure()
}

// The head of a poll frame.
const (
	pollCheckpoint = 32 // bytes
	pollLimit      = 40 // u32
	pollHead       = 48
)

// AppendPoll appends a call to poll at the time now.
func AppendPoll(dst []byte, now feedback.Time, req sdk.PollRequest) []byte {
	w := begin(dst, KindPoll, pollHead, 0, 0)
	w.u64(atNow, uint64(now))
	w.bytes(pollCheckpoint, req.Checkpoint)
	w.u32(pollLimit, uint32(min(max(req.Limit, 0), MaxRecords)))
	return w.end()
}

// ReadPoll reads a call to poll. What it returns does not alias b.
func ReadPoll(b []byte) (sdk.PollRequest, error) {
	var r reader
	h, err := r.expect(b, KindPoll, pollHead)
	if err != nil {
		return sdk.PollRequest{}, err
	}
	req := sdk.PollRequest{
		Checkpoint: r.bytes(le.Uint64(h[pollCheckpoint:])),
		Limit:      int(le.Uint32(h[pollLimit:])),
	}
	return req, r.done()
}

// The head of a receive frame; its records are headers.
const (
	receiveBody = 32 // bytes
	receiveHead = 40
)

// AppendReceive appends a call to receive at the time now.
func AppendReceive(dst []byte, now feedback.Time, req sdk.ReceiveRequest) []byte {
	w := begin(dst, KindReceive, receiveHead, len(req.Headers), headerSize)
	w.u64(atNow, uint64(now))
	w.bytes(receiveBody, req.Body)
	w.headers(receiveHead, req.Headers)
	return w.end()
}

// ReadReceive reads a call to receive. What it returns does not alias b.
func ReadReceive(b []byte) (sdk.ReceiveRequest, error) {
	var r reader
	h, err := r.expect(b, KindReceive, receiveHead)
	if err != nil {
		return sdk.ReceiveRequest{}, err
	}
	r.own()
	req := sdk.ReceiveRequest{Body: r.bytes(le.Uint64(h[receiveBody:])), Headers: r.headers()}
	return req, r.done()
}

// The head of a deliver frame.
const (
	deliverKey     = 32 // string
	deliverKind    = 40 // string
	deliverBody    = 48 // bytes
	deliverAt      = 56 // i64
	deliverAttempt = 64 // u32
	deliverHead    = 72
)

// AppendDeliver appends a call to deliver at the time now.
func AppendDeliver(dst []byte, now feedback.Time, m sdk.Message) []byte {
	w := begin(dst, KindDeliver, deliverHead, 0, 0)
	w.u64(atNow, uint64(now))
	w.str(deliverKey, m.Key)
	w.str(deliverKind, m.Kind)
	w.bytes(deliverBody, m.Body)
	w.u64(deliverAt, uint64(m.At))
	w.u32(deliverAttempt, uint32(max(m.Attempt, 0)))
	return w.end()
}

// ReadDeliver reads a call to deliver. What it returns does not alias b.
func ReadDeliver(b []byte) (sdk.Message, error) {
	var r reader
	h, err := r.expect(b, KindDeliver, deliverHead)
	if err != nil {
		return sdk.Message{}, err
	}
	r.own()
	m := sdk.Message{
		Key:     r.str(le.Uint64(h[deliverKey:])),
		Attempt: int(le.Uint32(h[deliverAttempt:])),
		Kind:    r.str(le.Uint64(h[deliverKind:])),
		At:      r.time(deliverAt, int64(le.Uint64(h[deliverAt:]))),
		Body:    r.bytes(le.Uint64(h[deliverBody:])),
	}
	return m, r.done()
}
