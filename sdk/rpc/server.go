package rpc

import (
	"context"
	"io"
	"sync"

	"google.golang.org/grpc"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/feedback"
	"github.com/closedloop/closedloop/sdk/rpc/internal/pb"
	"github.com/closedloop/closedloop/sdk/wire"
)

// server answers the engine in the plugin's process.
type server struct {
	pb.UnimplementedPluginServer
	handler Handler
	dial    func(id uint32) (*grpc.ClientConn, error)

	mu   sync.Mutex // held during a call
	host *remoteHost
}

// Call connects to the host at the first call and hands the frame to the handler.
func (s *server) Call(ctx context.Context, q *pb.CallRequest) (*pb.Frame, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.host == nil {
		conn, err := s.dial(q.GetHost())
		if err != nil {
			return nil, err
		}
		s.host = &remoteHost{client: pb.NewHostClient(conn)}
	}
	return &pb.Frame{Frame: s.handler.Call(ctx, s.host, q.GetFrame())}, nil
}

// remoteHost is the engine as the plugin's process sees it. What takes no context ends when the engine does.
type remoteHost struct{ client pb.HostClient }

var _ sdk.Host = (*remoteHost)(nil)

func (h *remoteHost) Log(level sdk.Level, message string) {
	// A log line that is lost with its engine is no reason to fail.
	_, _ = h.client.Log(context.Background(), &pb.LogRequest{Level: uint32(level), Message: message})
}

func (h *remoteHost) Files() ([]sdk.FileInfo, error) {
	answer, err := h.client.Files(context.Background(), &pb.Empty{})
	if err != nil {
		return nil, err
	}
	files, err := wire.ReadFiles(answer.GetFrame())
	if err != nil {
		return nil, err
	}
	infos := make([]sdk.FileInfo, len(files))
	for i := range files {
		infos[i] = files[i].FileInfo
	}
	return infos, nil
}

func (h *remoteHost) ReadFile(name string, p []byte, offset int64) (int, error) {
	n := 0
	for n < len(p) {
		want := uint32(min(len(p)-n, MaxRead))
		answer, err := h.client.ReadFile(context.Background(), &pb.ReadFileRequest{Name: name, Offset: offset + int64(n), Length: want})
		if err != nil {
			return n, err
		}
		if err := failed(answer.GetFailure()); err != nil {
			return n, err
		}
		n += copy(p[n:], answer.GetData())
		if answer.GetEnd() || len(answer.GetData()) == 0 {
			return n, io.EOF
		}
	}
	return n, nil
}

func (h *remoteHost) HTTP(ctx context.Context, req sdk.HTTPRequest) (sdk.HTTPResponse, error) {
	answer, err := h.client.HTTP(ctx, &pb.Frame{Frame: wire.AppendHTTPRequest(nil, &req)})
	if err != nil {
		return sdk.HTTPResponse{}, err
	}
	return wire.ReadHTTPResponse(answer.GetFrame())
}

func (h *remoteHost) KVGet(key string) ([]byte, error) {
	answer, err := h.client.KVGet(context.Background(), &pb.KVGetRequest{Key: []byte(key)})
	if err != nil {
		return nil, err
	}
	if err := failed(answer.GetFailure()); err != nil {
		return nil, err
	}
	return answer.GetValue(), nil
}

func (h *remoteHost) KVPut(key string, value []byte) error {
	answer, err := h.client.KVPut(context.Background(), &pb.KVPutRequest{Key: []byte(key), Value: value})
	if err != nil {
		return err
	}
	return failed(answer.GetFailure())
}

// failed returns the failure in a frame, or nil when there is no frame.
func failed(frame []byte) error {
	if len(frame) == 0 {
		return nil
	}
	f, err := wire.ReadFailure(frame)
	if err != nil {
		return err
	}
	return f
}

func (h *remoteHost) Now() feedback.Time {
	answer, err := h.client.Now(context.Background(), &pb.Empty{})
	if err != nil {
		return 0
	}
	return feedback.Time(answer.GetMilliseconds())
}
