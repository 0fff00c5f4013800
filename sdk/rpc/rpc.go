// Package rpc is the process transport of a plugin: the frames of package wire as messages of gRPC over go-plugin, and
// the functions of the host as a service in the other direction.
//
// Two processes that disagree are told apart before a frame travels: by the handshake's cookie and its protocol
// version, which is the major contract version. Each side bounds what it takes by MaxMessage. The package keeps no
// state of its own: two engines in one process do not see each other.
//
// The engine:
//
//	client := plugin.NewClient(rpc.ClientConfig(exec.Command(path), host)) // add SecureConfig, Logger, ...
//	defer client.Kill()
//	guest, err := rpc.Dial(client)
//	answer, err := guest.Call(ctx, frame)
//
// A plugin's main goes through package serve, which calls Serve.
package rpc

//go:generate protoc --go_out=internal/pb --go_opt=paths=source_relative --go-grpc_out=internal/pb --go-grpc_opt=paths=source_relative plugin.proto

import (
	"context"
	"fmt"
	"os/exec"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/closedloop/closedloop/sdk"
	"github.com/closedloop/closedloop/sdk/rpc/internal/pb"
)

// MaxMessage is the largest message in bytes that either side takes.
const MaxMessage = 64 << 20

// MaxRead is the most bytes of a file that one call reads.
const MaxRead = 1 << 20

// The cookie tells a plugin that an engine started it. It is no secret.
const (
	CookieKey   = "CLOSEDLOOP_PLUGIN"
	CookieValue = "e2c7a5b0-closed-loop-plugin"
)

// An engine that sets ParentKey to ParentValue holds the other end of the plugin's standard input for as long as it lives:
// the plugin ends when its input does, so that it is not left behind by an engine that was killed.
const (
	ParentKey   = "CLOSEDLOOP_PARENT"
	ParentValue = "stdin"
)

// service is the name of the one service in go-plugin's set.
const service = "closedloop"

// Handshake returns what both processes must agree on.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{
		ProtocolVersion:  sdk.ContractMajor,
		MagicCookieKey:   CookieKey,
		MagicCookieValue: CookieValue,
	}
}

// ClientConfig returns how the engine starts a plugin's process: gRPC only, both ends authenticated, the engine's
// environment withheld and messages bounded. The plugin reaches the host's functions as the host grants them.
func ClientConfig(cmd *exec.Cmd, host sdk.Host) *plugin.ClientConfig {
	return &plugin.ClientConfig{
		HandshakeConfig:  Handshake(),
		Plugins:          plugin.PluginSet{service: &glue{host: host}},
		Cmd:              cmd,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		GRPCDialOptions: []grpc.DialOption{grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(MaxMessage), grpc.MaxCallSendMsgSize(MaxMessage))},
	}
}

// Dial starts the process that the client was configured for, unless it runs already, and connects to it.
func Dial(client *plugin.Client) (*Client, error) {
	conn, err := client.Client()
	if err != nil {
		return nil, fmt.Errorf("start plugin process: %w", err)
	}
	c, err := conn.Dispense(service)
	if err != nil {
		return nil, fmt.Errorf("connect to plugin process: %w", err)
	}
	return c.(*Client), nil
}

// Handler answers calls in the plugin's process.
type Handler interface {
	// Call answers a frame with a frame. Calls come one at a time; the answer is not changed afterwards.
	Call(ctx context.Context, host sdk.Host, frame []byte) []byte
}

// Serve serves the handler to the engine that started this process, and returns when the engine is done with it.
func Serve(h Handler) {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: Handshake(),
		Plugins:         plugin.PluginSet{service: &glue{handler: h}},
		GRPCServer:      newServer,
	})
}

func newServer(opts []grpc.ServerOption) *grpc.Server {
	return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(MaxMessage), grpc.MaxSendMsgSize(MaxMessage))...)
}

// glue joins both sides to go-plugin. A plugin's process has the handler, the engine the host.
type glue struct {
	plugin.NetRPCUnsupportedPlugin
	handler Handler
	host    sdk.Host
}

var _ plugin.GRPCPlugin = (*glue)(nil)

// GRPCServer registers the handler in the plugin's process.
func (g *glue) GRPCServer(broker *plugin.GRPCBroker, s *grpc.Server) error {
	pb.RegisterPluginServer(s, &server{handler: g.handler, dial: func(id uint32) (*grpc.ClientConn, error) {
		return broker.DialWithOptions(id, grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(MaxMessage), grpc.MaxCallSendMsgSize(MaxMessage)))
	}})
	return nil
}

// GRPCClient connects the engine and offers it to the plugin as the service Host.
func (g *glue) GRPCClient(_ context.Context, broker *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	c := &Client{plugin: pb.NewPluginClient(conn), host: broker.NextId(), done: make(chan struct{})}
	go func() {
		defer close(c.done)
		broker.AcceptAndServe(c.host, func(opts []grpc.ServerOption) *grpc.Server {
			s := newServer(opts)
			pb.RegisterHostServer(s, &hostServer{host: g.host})
			return s
		})
	}()
	return c, nil
}
