package server_test

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/warrenmq/warren/internal/server"
	"github.com/warrenmq/warren/internal/vfs"
)

// exported is the part of an export that the test looks at.
type exported struct {
	ResourceMetrics []struct {
		Resource struct {
			Attributes []struct {
				Key   string
				Value struct{ StringValue string }
			}
		}
		ScopeMetrics []struct {
			Metrics []struct {
				Name                           string
				Gauge, Sum, Histogram, Summary *struct {
					DataPoints []struct {
						AsDouble     *float64
						BucketCounts []string
						Count        string
					}
				}
			}
		}
	}
}

// TestExport: a collector gets the node's metrics, each in its kind.
func TestExport(t *testing.T) {
	t.Parallel()
	got := make(chan exported, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var e exported
		zip, err := gzip.NewReader(r.Body)
		if err == nil {
			err = json.NewDecoder(zip).Decode(&e)
		}
		if err != nil {
			t.Error(err)
		}
		select {
		case got <- e:
		default:
		}
	}))
	defer collector.Close()
	logger := slog.New(slog.DiscardHandler)
	st, err := server.OpenTestStorage(vfs.NewMem(), logger)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.Open(server.Options{
		Logger: logger, Storage: st, Version: "1.2.3", ClusterName: "here", MaxMessageSize: 1 << 20,
		Export: server.Export{Endpoint: collector.URL, Interval: 10 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	e := <-got
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
	if len(e.ResourceMetrics) != 1 || len(e.ResourceMetrics[0].ScopeMetrics) != 1 {
		t.Fatalf("%+v", e)
	}
	of := map[string]string{}
	for _, a := range e.ResourceMetrics[0].Resource.Attributes {
		of[a.Key] = a.Value.StringValue
	}
	if of["service.name"] != "warren" || of["service.version"] != "1.2.3" || of["service.namespace"] != "here" || of["service.instance.id"] == "" {
		t.Errorf("resource %v", of)
	}
	seen := map[string]bool{}
	for _, m := range e.ResourceMetrics[0].ScopeMetrics[0].Metrics {
		seen[m.Name] = true
		switch m.Name {
		case "rabbitmq_queues":
			if m.Gauge == nil || len(m.Gauge.DataPoints) != 1 || *m.Gauge.DataPoints[0].AsDouble != 0 {
				t.Errorf("%+v", m)
			}
		case "rabbitmq_connections_opened_total":
			if m.Sum == nil || len(m.Sum.DataPoints) != 1 {
				t.Errorf("%+v", m)
			}
		case "warren_journal_sync_seconds":
			if m.Histogram == nil || len(m.Histogram.DataPoints) != 1 || len(m.Histogram.DataPoints[0].BucketCounts) < 5 {
				t.Errorf("%+v", m)
			}
		case "warren_ack_latency_seconds":
			if m.Summary == nil || len(m.Summary.DataPoints) != 1 || m.Summary.DataPoints[0].Count != "0" {
				t.Errorf("%+v", m)
			}
		}
	}
	for _, name := range []string{"rabbitmq_queues", "rabbitmq_connections_opened_total", "warren_journal_sync_seconds", "warren_ack_latency_seconds", "go_goroutines"} {
		if !seen[name] {
			t.Errorf("%s is not among %d metrics", name, len(seen))
		}
	}
}
