package server

import (
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/warrenmq/warren/internal/storage"
	"github.com/warrenmq/warren/internal/vfs"
)

// testSegment is the journal's segment size where the disk is memory.
const testSegment = 1 << 20

// OpenStorage opens a data directory that this process has locked; failed is
// told when nothing can be stored any more.
func OpenStorage(dir string, logger *slog.Logger, failed func(error)) (*storage.Store, error) {
	return openStorage(vfs.Disk{}, dir, 0, logger, failed)
}

// OpenTestStorage opens a data directory in memory.
func OpenTestStorage(fs *vfs.Mem, logger *slog.Logger) (*storage.Store, error) {
	return openStorage(fs, "data", testSegment, logger, nil)
}

func openStorage(fs vfs.FS, dir string, segment int64, logger *slog.Logger, failed func(error)) (*storage.Store, error) {
	begun := time.Now() //nolint:forbidigo // to say how long it took
	s, report, err := storage.Open(storage.Options{
		FS: fs, Dir: filepath.ToSlash(dir), Random: rand.Reader, Logger: logger, Fenced: failed, SegmentSize: segment,
	})
	if err != nil {
		return nil, err
	}
	logger.Info("the journal is replayed", slog.Int("segments", report.Segments), slog.Int64("bytes", report.Bytes),
		slog.Duration("took", time.Since(begun)))
	return s, nil
}
