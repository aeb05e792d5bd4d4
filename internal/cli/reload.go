package cli

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"strings"
	"syscall"
	"time"

	"github.com/warrenmq/warren/internal/config"
	"github.com/warrenmq/warren/internal/systemd"
)

// reloader reads the configuration again when SIGHUP asks for it, and speaks to
// the service manager.
type reloader struct {
	read    func() (config.Config, error)
	running config.Config // what is in force
	level   *slog.LevelVar
	log     *slog.Logger
	manager *systemd.Manager
}

// tell logs that the service manager could not be told something.
func tell(log *slog.Logger, err error) {
	if err != nil {
		log.Warn("the service manager was not told", slog.String("error", err.Error()))
	}
}

// wait returns when the node has to end, with the reason if it is a failure.
func (r *reloader) wait(ctx context.Context, failed, broken <-chan error) error {
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	var watchdog <-chan time.Time
	if every := r.manager.Watchdog(); every > 0 {
		t := time.NewTicker(every / 2)
		defer t.Stop()
		watchdog = t.C
	}
	tell(r.log, r.manager.Ready("serving"))
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case err := <-broken:
			return err
		case <-watchdog:
			tell(r.log, r.manager.Alive())
		case <-again:
			tell(r.log, r.manager.Reloading())
			r.reload()
			tell(r.log, r.manager.Ready("serving"))
		}
	}
}

// reload puts in force what can be while the node serves, and says what cannot.
// Certificates need no signal.
func (r *reloader) reload() {
	next, err := r.read()
	if err != nil {
		r.log.Error("the configuration stays as it is", slog.String("error", err.Error()))
		return
	}
	setLevel(r.level, &next)
	r.log.Info("the configuration was read again", slog.String("log_level", next.LogLevel))
	if keys := changed(&r.running, &next); len(keys) > 0 {
		r.log.Warn("some changes need a restart", slog.String("keys", strings.Join(keys, ", ")))
	}
	r.running.LogLevel = next.LogLevel
}

// changed lists the keys that differ and that a restart would put in force.
// What serve fills in by itself counts for nothing.
func changed(running, next *config.Config) (keys []string) {
	a, b := reflect.ValueOf(running).Elem(), reflect.ValueOf(next).Elem()
	for i := range a.NumField() {
		key := a.Type().Field(i).Tag.Get("yaml")
		switch {
		case key == "log_level", key == "memory_limit" && next.MemoryLimit == 0, key == "advertise" && next.Advertise == "":
		case !a.Field(i).Equal(b.Field(i)):
			keys = append(keys, key)
		}
	}
	return keys
}
