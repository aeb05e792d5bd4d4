package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOrder: the environment wins over the file, the file over the defaults.
func TestOrder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "warren.yaml")
	if err := os.WriteFile(path, []byte("data: /from/file\nhttp: 127.0.0.1:1\nheartbeat: 7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Read(path, []string{"WARREN_HTTP=127.0.0.1:2", "WARREN_MEMORY_LIMIT=99", "OTHER=1"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "/from/file" || c.HTTP != "127.0.0.1:2" || c.Heartbeat != 7 || c.AMQP != Default().AMQP || c.MemoryLimit != 99 {
		t.Errorf("%+v", c)
	}
	if err := c.Validate(); err != nil {
		t.Errorf("valid: %v", err)
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "warren.yaml")
	if err := os.WriteFile(path, []byte("datta: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path, nil); err == nil || !strings.Contains(err.Error(), "datta") {
		t.Errorf("an unknown key: %v", err)
	}
	if _, err := Read("", []string{"WARREN_HEARTBEAT=soon"}); err == nil || !strings.Contains(err.Error(), "WARREN_HEARTBEAT") {
		t.Errorf("a number that is none: %v", err)
	}
	c := Config{AMQP: "nowhere", HTTP: "x", Heartbeat: -1, MaxConnections: 0, MemoryLimit: -1, LogFormat: "xml", LogLevel: "loud"}
	err := c.Validate()
	if err == nil {
		t.Fatal("nothing wrong?")
	}
	for _, key := range []string{"data", "amqp", "http", "heartbeat", "max_message_size", "max_connections", "memory_limit", "log_format", "log_level"} {
		if !strings.Contains(err.Error(), key+":") {
			t.Errorf("%s is not named in %q", key, err)
		}
	}
}

func TestTransportMistakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		change func(c *Config)
		want   string
	}{
		{func(c *Config) { c.TLSCert = "cert.pem" }, "give both or neither"},
		{func(c *Config) { c.WSS = "127.0.0.1:443" }, "wss: it needs tls_cert and tls_key"},
		{func(c *Config) { c.TLSClientCA = "ca.pem" }, "tls_client_ca: it needs"},
		{func(c *Config) { c.TLSClients = "required" }, "only be required with tls_client_ca"},
		{func(c *Config) { c.TLSClients = "maybe" }, `"maybe" is neither optional nor required`},
		{func(c *Config) { c.TLSLogin = "face" }, `"face" is none of`},
		{func(c *Config) { c.AMQPProxies = "10.0.0.0/8, lb.example" }, `amqp_proxies: "lb.example" is neither`},
		{func(c *Config) { c.AMQPS, c.WS = "5671", "ws" }, "amqps: \"5671\" is not host:port"},
	} {
		config := Default()
		c.change(&config)
		if err := config.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	c := Default()
	c.TLSCert, c.TLSKey, c.TLSClientCA, c.TLSClients, c.AMQPSProxies = "c", "k", "ca", "required", "10.0.0.0/8,::1"
	if err := c.Validate(); err != nil || !c.TLS() {
		t.Error(err)
	}
}

func TestDefaultMemoryLimit(t *testing.T) {
	t.Parallel()
	if n := DefaultMemoryLimit(); n < 16<<20 || n > 1<<46 {
		t.Errorf("%d bytes", n)
	}
}

func TestOTLP(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(c *Config){
		"otlp_endpoint:": func(c *Config) { c.OTLPEndpoint = "collector:4318" },
		"otlp_headers:":  func(c *Config) { c.OTLPHeaders = "a=b,secret" },
		"otlp_interval:": func(c *Config) { c.OTLPInterval = 0 },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v, want %s", err, want)
		}
	}
	c, err := Read("", []string{"WARREN_OTLP_ENDPOINT=http://c:4318", "WARREN_OTLP_HEADERS=Authorization=Token x=, b = c", "WARREN_OTLP_INTERVAL=5"})
	if err != nil {
		t.Fatal(err)
	}
	h := c.Headers()
	if err := c.Validate(); err != nil || c.OTLPInterval != 5 || len(h) != 2 || h["Authorization"] != "Token x=" || h["b"] != "c" {
		t.Errorf("%v, %v", err, h)
	}
	if shown := c.Map()["otlp_headers"]; shown != "(not shown)" {
		t.Errorf("the headers are shown: %v", shown)
	}
}
