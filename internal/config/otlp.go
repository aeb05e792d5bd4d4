package config

import (
	"net/url"
	"strings"
)

// Headers are OTLPHeaders by their names.
func (c *Config) Headers() map[string]string {
	all := map[string]string{}
	for part := range strings.SplitSeq(c.OTLPHeaders, ",") {
		if name, value, ok := strings.Cut(part, "="); ok {
			all[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return all
}

// validateOTLP says what is wrong with the export of metrics.
func (c *Config) validateOTLP(wrong func(format string, a ...any)) {
	if c.OTLPEndpoint != "" {
		if u, err := url.Parse(c.OTLPEndpoint); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			wrong("otlp_endpoint: %q is no URL such as http://127.0.0.1:4318", c.OTLPEndpoint)
		}
	}
	if c.OTLPHeaders != "" {
		for part := range strings.SplitSeq(c.OTLPHeaders, ",") {
			if name, _, ok := strings.Cut(part, "="); !ok || strings.TrimSpace(name) == "" || strings.ContainsAny(part, "\r\n") {
				wrong("otlp_headers: one of them is not name=value") // which may be a secret
			}
		}
	}
	if c.OTLPInterval < 1 || c.OTLPInterval > 86_400 {
		wrong("otlp_interval: %d is not between 1 and 86400 seconds", c.OTLPInterval)
	}
}
