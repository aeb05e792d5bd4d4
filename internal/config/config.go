// Package config is what a node can be told: one struct with its defaults,
// filled from a YAML file, the environment and flags, in that order.
package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// Config is the configuration of one node. The yaml tags are also the names
// of the environment variables: amqp is WARREN_AMQP.
type Config struct {
	// Data is the data directory.
	Data string `yaml:"data"`
	// AMQP is the address of the AMQP listener, host:port.
	AMQP string `yaml:"amqp"`
	// AMQPS is the address of the AMQP listener with TLS, used when TLSCert and
	// TLSKey are given; empty: none.
	AMQPS string `yaml:"amqps"`
	// TLSCert and TLSKey are PEM files: the node's certificate with its chain,
	// and its key. When they change, new connections use them.
	TLSCert string `yaml:"tls_cert"`
	TLSKey  string `yaml:"tls_key"`
	// TLSClientCA is a PEM file of the certificates that sign those of clients,
	// who can then log in by certificate (SASL EXTERNAL); empty: they cannot.
	TLSClientCA string `yaml:"tls_client_ca"`
	// TLSClients is optional or required: whether a client needs a certificate.
	TLSClients string `yaml:"tls_clients"`
	// TLSLogin is the part of a client's certificate that names its role: cn,
	// or the first alternative name of kind dns, email or uri.
	TLSLogin string `yaml:"tls_login"`
	// AMQPProxies and AMQPSProxies are the addresses, separated by commas, of
	// load balancers that begin connections to the AMQP and AMQPS listener with
	// a PROXY protocol header (version 1 or 2); empty: there are none.
	AMQPProxies  string `yaml:"amqp_proxies"`
	AMQPSProxies string `yaml:"amqps_proxies"`
	// WS and WSS are the addresses of listeners for AMQP over WebSocket, at
	// path /ws, without and with TLS; empty: none.
	WS  string `yaml:"ws"`
	WSS string `yaml:"wss"`
	// HTTP is the address of the HTTP API, host:port; empty: none.
	HTTP string `yaml:"http"`
	// Metrics is the address of the metrics for Prometheus, which nobody logs in
	// to read; empty: none. They are at HTTP too, for those who log in.
	Metrics string `yaml:"metrics"`
	// OTLPEndpoint is the base URL of a collector of OpenTelemetry, as
	// http://127.0.0.1:4318, to which the metrics are sent every OTLPInterval
	// seconds; empty: they are not. OTLPHeaders, as name=value,name=value, go
	// with them.
	OTLPEndpoint string `yaml:"otlp_endpoint"`
	OTLPHeaders  string `yaml:"otlp_headers"`
	OTLPInterval int    `yaml:"otlp_interval"`
	// Advertise is the address that is shown to clients; empty: AMQP.
	Advertise string `yaml:"advertise"`
	// LoadDefinitions is a file of definitions, RabbitMQ's or Warren's, that the
	// node takes in at each start before it serves; empty: none.
	LoadDefinitions string `yaml:"load_definitions"`
	// Heartbeat is proposed to clients, in seconds.
	Heartbeat int `yaml:"heartbeat"`
	// MaxMessageSize bounds a message's body, in bytes.
	MaxMessageSize int `yaml:"max_message_size"`
	// MemoryLimit bounds the bytes of messages in memory; 0: a part of the
	// machine's or the control group's memory.
	MemoryLimit int64 `yaml:"memory_limit"`
	// HotWindow is how many bytes of messages stay in memory before those
	// wanted last are moved to the data directory.
	HotWindow int64 `yaml:"hot_window"`
	// MaxConnections bounds the connections of the node.
	MaxConnections int `yaml:"max_connections"`
	// LogFormat is text or json, LogLevel debug, info, warn or error.
	LogFormat string `yaml:"log_format"`
	LogLevel  string `yaml:"log_level"`
}

// DefaultMetrics is RabbitMQ's port for metrics. When another program has it and
// nobody has chosen it, the node does without.
const DefaultMetrics = "127.0.0.1:15692"

// minHotWindow is the least HotWindow: a few messages have to be in memory.
const minHotWindow = 1 << 20

// Default returns the configuration that nothing has changed.
func Default() Config {
	return Config{
		Data: "data", AMQP: "127.0.0.1:5672", AMQPS: "127.0.0.1:5671", TLSClients: "optional", TLSLogin: "cn", HTTP: "127.0.0.1:15672", Metrics: DefaultMetrics,
		OTLPInterval: 60, Heartbeat: 60,
		MaxMessageSize: 16 << 20, HotWindow: 32 << 20, MaxConnections: 15_000, LogFormat: "text", LogLevel: "info",
	}
}

// Read overlays the defaults with a YAML file (unless path is empty) and the
// environment. Unknown keys are errors.
func Read(path string, environ []string) (Config, error) {
	c := Default()
	if path != "" {
		b, err := os.ReadFile(path) //nolint:gosec // the operator names the file
		if err != nil {
			return c, fmt.Errorf("config file: %w", err)
		}
		if err := yaml.UnmarshalWithOptions(b, &c, yaml.Strict()); err != nil {
			return c, fmt.Errorf("config file %s: %w", path, err)
		}
	}
	return c, c.environment(environ)
}

const envPrefix = "WARREN_"

// environment overlays c with WARREN_… variables.
func (c *Config) environment(environ []string) error {
	texts := map[string]*string{
		"DATA": &c.Data, "AMQP": &c.AMQP, "HTTP": &c.HTTP, "METRICS": &c.Metrics, "LOAD_DEFINITIONS": &c.LoadDefinitions, "ADVERTISE": &c.Advertise,
		"AMQPS": &c.AMQPS, "TLS_CERT": &c.TLSCert, "TLS_KEY": &c.TLSKey, "TLS_CLIENT_CA": &c.TLSClientCA,
		"TLS_CLIENTS": &c.TLSClients, "TLS_LOGIN": &c.TLSLogin, "AMQP_PROXIES": &c.AMQPProxies,
		"OTLP_ENDPOINT": &c.OTLPEndpoint, "OTLP_HEADERS": &c.OTLPHeaders,
		"AMQPS_PROXIES": &c.AMQPSProxies, "WS": &c.WS, "WSS": &c.WSS,
		"LOG_FORMAT": &c.LogFormat, "LOG_LEVEL": &c.LogLevel,
	}
	numbers := map[string]*int{
		"HEARTBEAT": &c.Heartbeat, "MAX_MESSAGE_SIZE": &c.MaxMessageSize, "MAX_CONNECTIONS": &c.MaxConnections,
		"OTLP_INTERVAL": &c.OTLPInterval,
	}
	bytes := map[string]*int64{"MEMORY_LIMIT": &c.MemoryLimit, "HOT_WINDOW": &c.HotWindow}
	var errs []error
	for _, kv := range environ {
		key, value, _ := strings.Cut(kv, "=")
		name, ours := strings.CutPrefix(key, envPrefix)
		if !ours {
			continue
		}
		if p, ok := texts[name]; ok {
			*p = value
		} else if p, ok := numbers[name]; ok {
			n, err := strconv.Atoi(value)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %q is not a whole number", key, value))
			}
			*p = n
		} else if p, ok := bytes[name]; ok {
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %q is not a number of bytes", key, value))
			}
			*p = n
		}
	}
	return errors.Join(errs...)
}

// Map returns the configuration by its keys, to show: without what is secret.
func (c *Config) Map() map[string]any {
	all := map[string]any{}
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		all[v.Type().Field(i).Tag.Get("yaml")] = v.Field(i).Interface()
	}
	if c.OTLPHeaders != "" {
		all["otlp_headers"] = "(not shown)"
	}
	return all
}

// Validate says all that is wrong with c at once.
func (c *Config) Validate() error {
	var errs []error
	wrong := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	if c.Data == "" {
		wrong("data: name a directory")
	}
	if _, _, err := net.SplitHostPort(c.AMQP); err != nil {
		wrong("amqp: %q is not host:port", c.AMQP)
	}
	if _, _, err := net.SplitHostPort(c.HTTP); c.HTTP != "" && err != nil {
		wrong("http: %q is not host:port", c.HTTP)
	}
	if _, _, err := net.SplitHostPort(c.Metrics); c.Metrics != "" && err != nil {
		wrong("metrics: %q is not host:port", c.Metrics)
	}
	c.validateTransport(wrong)
	c.validateOTLP(wrong)
	if c.Heartbeat < 0 || c.Heartbeat > 65535 {
		wrong("heartbeat: %d is not between 0 and 65535 seconds", c.Heartbeat)
	}
	if c.MaxMessageSize < 1 || c.MaxMessageSize > 512<<20 {
		wrong("max_message_size: %d is not between 1 and %d bytes", c.MaxMessageSize, 512<<20)
	}
	if c.MaxConnections < 1 {
		wrong("max_connections: %d is less than 1", c.MaxConnections)
	}
	if c.MemoryLimit < 0 {
		wrong("memory_limit: %d is negative", c.MemoryLimit)
	}
	if c.HotWindow < minHotWindow {
		wrong("hot_window: %d is less than %d bytes", c.HotWindow, minHotWindow)
	}
	switch c.LogFormat {
	case "text", "json":
	default:
		wrong("log_format: %q is neither text nor json", c.LogFormat)
	}
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
	default:
		wrong("log_level: %q is none of debug, info, warn, error", c.LogLevel)
	}
	return errors.Join(errs...)
}
