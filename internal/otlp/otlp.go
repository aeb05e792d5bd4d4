// Package otlp sends metrics to a collector of OpenTelemetry: OTLP over HTTP, in
// JSON (opentelemetry.io/docs/specs/otlp). It reads them in Prometheus' text
// format, which the node writes anyway, so that both tell the same.
package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Options say where metrics go, and how often.
type Options struct {
	// Endpoint is the collector's base URL, as http://127.0.0.1:4318; the metrics
	// go to /v1/metrics below it.
	Endpoint string
	// Headers are sent with each request: a collector's login.
	Headers  map[string]string
	Interval time.Duration
	// Resource describes who sends: OpenTelemetry's attributes, service.name
	// first of all.
	Resource map[string]string
	// Started is when the counters began.
	Started time.Time
	Now     func() time.Time
	Logger  *slog.Logger
	// Write writes the metrics in Prometheus' text format.
	Write func(io.Writer) error
}

const (
	metricsPath = "/v1/metrics"
	// timeout bounds one request, maxAnswer what is read of an answer.
	timeout   = 10 * time.Second
	maxAnswer = 64 << 10
)

// Exporter sends metrics until it is told to stop.
type Exporter struct {
	Options

	client *http.Client
	failed string // what was logged last; it is not logged twice
}

// New returns an exporter.
func New(o Options) *Exporter {
	o.Endpoint = strings.TrimSuffix(strings.TrimSuffix(o.Endpoint, "/"), metricsPath) + metricsPath
	return &Exporter{Options: o, client: &http.Client{Timeout: timeout, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableCompression: true, MaxIdleConns: 1, IdleConnTimeout: timeout,
	}}}
}

// Run sends the metrics at each interval, and a last time when ctx ends. What
// cannot be sent is not kept: the counters of the next time hold it too.
func (e *Exporter) Run(ctx context.Context) {
	defer e.client.CloseIdleConnections()
	t := time.NewTicker(e.Interval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			e.note(e.Send(ctx))
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			e.note(e.Send(last))
			cancel()
			return
		}
	}
}

// note logs a failure once, until something else happens.
func (e *Exporter) note(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == e.failed:
		return
	case err != nil:
		e.Logger.Warn("metrics cannot be sent", slog.String("endpoint", e.Endpoint), slog.String("error", text))
	default:
		e.Logger.Info("metrics are sent again", slog.String("endpoint", e.Endpoint))
	}
	e.failed = text
}

// Send sends the metrics once.
func (e *Exporter) Send(ctx context.Context) error {
	var text bytes.Buffer
	if err := e.Write(&text); err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	metrics, err := parse(&text, e.Started, e.Now())
	if err != nil {
		return err
	}
	var body bytes.Buffer
	zip := gzip.NewWriter(&body)
	err = json.NewEncoder(zip).Encode(newRequest(e.Resource, metrics))
	if err = errors.Join(err, zip.Close()); err != nil {
		return fmt.Errorf("encode metrics: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.Endpoint, &body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Content-Encoding", "gzip")
	for name, value := range e.Headers {
		req.Header.Set(name, value)
	}
	return e.do(req)
}

// do makes the request and reads the answer.
func (e *Exporter) do(req *http.Request) error {
	answer, err := e.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("the collector answers %s: %.200q", answer.Status, text)
	}
	var partial struct {
		PartialSuccess struct {
			Rejected json.Number `json:"rejectedDataPoints"`
			Message  string      `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
	_ = json.Unmarshal(text, &partial) // an answer in another form is a success all the same
	if p := partial.PartialSuccess; p.Rejected != "" && p.Rejected != "0" {
		return fmt.Errorf("the collector refuses %s points: %.200q", p.Rejected, p.Message)
	}
	return nil
}
