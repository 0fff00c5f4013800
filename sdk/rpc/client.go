package rpc

import (
	"context"
	"errors"
	"io"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/rpc/internal/pb"
	"github.com/closedloop/closedloop/sdk/wire"
)

// Client is the engine's end of a plugin's process.
type Client struct {
	plugin pb.PluginClient
	host   uint32        // the broker's id of the host's service
	done   chan struct{} // closed when the host's service has ended
}

// Call hands a frame to the plugin and returns its answer, which the caller owns. Calls are made one at a time. An
// error is one of the transport, such as the process's death; what the plugin has to say is in the frame.
func (c *Client) Call(ctx context.Context, frame []byte) ([]byte, error) {
	answer, err := c.plugin.Call(ctx, &pb.CallRequest{Frame: frame, Host: c.host})
	if err != nil {
		return nil, err
	}
	return answer.GetFrame(), nil
}

// Wait returns when the plugin can no longer call the host: some time after plugin.Client.Kill.
func (c *Client) Wait() { <-c.done }

// hostServer offers the host's functions to the plugin.
type hostServer struct {
	pb.UnimplementedHostServer
	host sdk.Host
}

func (s *hostServer) Log(_ context.Context, q *pb.LogRequest) (*pb.Empty, error) {
	s.host.Log(sdk.Level(min(q.GetLevel(), uint32(sdk.Error))), q.GetMessage())
	return &pb.Empty{}, nil
}

func (s *hostServer) Files(context.Context, *pb.Empty) (*pb.Frame, error) {
	infos, err := s.host.Files()
	if err != nil {
		return &pb.Frame{Frame: wire.AppendFailure(nil, err)}, nil
	}
	files := make([]wire.File, len(infos))
	for i := range infos {
		files[i] = wire.File{ID: uint32(i), FileInfo: infos[i]}
	}
	return &pb.Frame{Frame: wire.AppendFiles(nil, files)}, nil
}

func (s *hostServer) ReadFile(_ context.Context, q *pb.ReadFileRequest) (*pb.ReadFileResponse, error) {
	p := make([]byte, min(q.GetLength(), MaxRead))
	n, err := s.host.ReadFile(q.GetName(), p, q.GetOffset())
	if err != nil && !errors.Is(err, io.EOF) {
		return &pb.ReadFileResponse{Failure: wire.AppendFailure(nil, err)}, nil
	}
	return &pb.ReadFileResponse{Data: p[:n], End: err != nil}, nil
}

func (s *hostServer) HTTP(ctx context.Context, q *pb.Frame) (*pb.Frame, error) {
	req, err := wire.ReadHTTPRequest(q.GetFrame())
	if err != nil {
		return &pb.Frame{Frame: wire.AppendFailure(nil, err)}, nil
	}
	resp, err := s.host.HTTP(ctx, req)
	if err != nil {
		return &pb.Frame{Frame: wire.AppendFailure(nil, err)}, nil
	}
	return &pb.Frame{Frame: wire.AppendHTTPResponse(nil, &resp)}, nil
}

func (s *hostServer) KVGet(_ context.Context, q *pb.KVGetRequest) (*pb.KVGetResponse, error) {
	value, err := s.host.KVGet(string(q.GetKey()))
	if err != nil {
		return &pb.KVGetResponse{Failure: wire.AppendFailure(nil, err)}, nil
	}
	return &pb.KVGetResponse{Value: value}, nil
}

func (s *hostServer) KVPut(_ context.Context, q *pb.KVPutRequest) (*pb.KVPutResponse, error) {
	if err := s.host.KVPut(string(q.GetKey()), q.GetValue()); err != nil {
		return &pb.KVPutResponse{Failure: wire.AppendFailure(nil, err)}, nil
	}
	return &pb.KVPutResponse{}, nil
}

func (s *hostServer) Now(context.Context, *pb.Empty) (*pb.Time, error) {
	return &pb.Time{Milliseconds: int64(s.host.Now())}, nil
}
