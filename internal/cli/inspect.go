package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/warrenmq/warren/internal/server"
)

// errDamaged is what inspect ends with when it found damage.
var errDamaged = errors.New("the data directory is damaged; a node starts from it unless the definitions are, and serves all that can " +
	"be read; with --repair the damaged files are set aside")

// inspection is a data directory as inspect shows it.
type inspection struct {
	Directory   string           `json:"directory"`
	Format      string           `json:"format"`
	Sound       bool             `json:"sound"`
	Key         bool             `json:"key"`
	Definitions definitions      `json:"definitions"`
	Journal     inspectedJournal `json:"journal"`
	Backlog     inspectedFiles   `json:"backlog"`
	Queues      []inspectedQueue `json:"queues"`
	Aside       []string         `json:"set_aside,omitempty"`
}

type definitions struct {
	File     string `json:"file"`
	Bytes    int64  `json:"bytes"`
	Records  int    `json:"records"`
	Sound    bool   `json:"sound"`
	Damage   string `json:"damage,omitempty"`
	Clusters int    `json:"clusters"`
	Vhosts   int    `json:"vhosts"`
	Roles    int    `json:"roles"`
	Queues   int    `json:"queues"`
}

type inspectedJournal struct {
	Segments  int                `json:"segments"`
	Bytes     int64              `json:"bytes"`
	Frames    int                `json:"frames"`
	LiveBytes int64              `json:"live_bytes"`
	Torn      int64              `json:"torn_bytes"`
	Damage    []string           `json:"damage"`
	Files     []inspectedSegment `json:"files"`
}

type inspectedSegment struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	End    int64  `json:"end"`
	Frames int    `json:"frames"`
	Sound  bool   `json:"sound"`
}

type inspectedFiles struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

type inspectedQueue struct {
	UID         uint64 `json:"uid"`
	Cluster     string `json:"cluster"`
	Vhost       string `json:"vhost"`
	Name        string `json:"name"`
	Deleted     bool   `json:"deleted"`
	Messages    int    `json:"messages"`
	Bytes       int64  `json:"bytes"`
	Redelivered int    `json:"redelivered"`
}

func inspectCommand(env *Env) *cobra.Command {
	c := newClient(env)
	repair := false
	cmd := &cobra.Command{
		Use: "inspect DIR", Short: "What is in the data directory of a stopped node, and is it sound", Args: args("DIR"),
		Long: "inspect reads a data directory that no node runs on and changes nothing in it. It ends with 1 when\n" +
			"something that was stored cannot be read. --repair then puts sound files in the place of damaged\n" +
			"ones, keeps those under names that end in .damaged, and writes what it did into repair.txt.",
		Example: "  warren inspect /var/lib/warren\n  warren inspect /var/lib/warren --repair",
	}
	f := cmd.Flags()
	f.StringVarP(&c.output, "output", "o", c.output, "table, json or name")
	f.BoolVar(&repair, "repair", false, "set damaged files aside")
	return c.offline(cmd, func(_ context.Context, args []string) error { return c.inspect(args[0], repair) })
}

func (c *client) inspect(dir string, repair bool) error {
	found, err := server.Inspect(dir)
	if err != nil {
		return err
	}
	i := inspected(dir, found)
	if repair && !i.Sound {
		if i.Aside, err = server.Repair(dir); err != nil {
			return err
		}
	}
	if err := c.showInspection(i); err != nil {
		return err
	}
	switch {
	case i.Sound || len(i.Aside) > 0:
		return nil
	}
	return errDamaged
}

// inspected brings what was found into the form that is shown.
func inspected(dir string, found *server.Inspection) *inspection {
	d, j := &found.Definitions, found.Journal
	i := &inspection{
		Directory: dir, Format: found.Format, Sound: !found.Damaged(), Key: d.Key,
		Definitions: definitions{
			File: d.File, Bytes: d.Bytes, Records: len(d.Records), Sound: d.Err == nil,
			Clusters: found.Clusters, Vhosts: found.Vhosts, Roles: found.Roles,
		},
		Journal: inspectedJournal{Segments: j.Segments, Bytes: j.Bytes, Frames: j.Frames, Torn: j.Torn, Damage: append([]string{}, j.Damaged...)},
		Backlog: inspectedFiles{Files: found.Backlog.Files, Bytes: found.Backlog.Bytes},
		Queues:  []inspectedQueue{},
	}
	if d.Err != nil {
		i.Definitions.Damage = d.Err.Error()
	}
	for _, s := range j.Files {
		i.Journal.Files = append(i.Journal.Files, inspectedSegment{s.Name, s.Size, s.End, s.Frames, len(s.Holes) == 0})
	}
	for _, q := range found.Queues {
		if !q.Deleted {
			i.Definitions.Queues++
			i.Journal.LiveBytes += q.Bytes
		}
		i.Queues = append(i.Queues, inspectedQueue{
			q.UID, q.Cluster, q.Vhost, q.Name, q.Deleted, q.Messages, q.Bytes, q.Redelivered,
		})
	}
	return i
}

// showInspection writes it: names are those of the queues.
func (c *client) showInspection(i *inspection) error {
	queues := table{value: i, head: []string{"QUEUE", "VHOST", "CLUSTER", "MESSAGES", "BYTES", "REDELIVERED"}}
	for _, q := range i.Queues {
		name := q.Name
		if q.Deleted {
			name = fmt.Sprintf("(deleted, number %d)", q.UID)
		}
		queues.rows = append(queues.rows, []string{
			name, q.Vhost, q.Cluster, strconv.Itoa(q.Messages), strconv.FormatInt(q.Bytes, 10), strconv.Itoa(q.Redelivered),
		})
	}
	if c.output == "table" {
		if err := c.show(i.summary()); err != nil {
			return err
		}
		if len(queues.rows) > 0 {
			if _, err := fmt.Fprintln(c.env.Stdout); err != nil {
				return err
			}
		}
	}
	return c.show(queues)
}

// summary is what is said of the directory as a whole.
func (i *inspection) summary() table {
	t := table{head: []string{"WHAT", "FOUND"}}
	add := func(what, format string, a ...any) {
		t.rows = append(t.rows, []string{what, fmt.Sprintf(format, a...)})
	}
	d, j := &i.Definitions, &i.Journal
	add("format", "%s", i.Format)
	add("key", "%s", yes(i.Key))
	add("definitions", "%d clusters, %d vhosts, %d roles, %d queues", d.Clusters, d.Vhosts, d.Roles, d.Queues)
	add("definitions file", "%d bytes, %d records", d.Bytes, d.Records)
	add("journal", "%d segments, %d bytes in %d frames, %d bytes live", j.Segments, j.Bytes, j.Frames, j.LiveBytes)
	if j.Torn > 0 {
		add("torn", "%d bytes were begun when the node stopped and not confirmed", j.Torn)
	}
	add("backlog", "%d files, %d bytes (removed at the next start)", i.Backlog.Files, i.Backlog.Bytes)
	if d.Damage != "" {
		add("damage", "%s", strings.ReplaceAll(d.Damage, "\n", "; "))
	}
	for _, damage := range j.Damage {
		add("damage", "%s", damage)
	}
	for _, name := range i.Aside {
		add("set aside", "%s", name)
	}
	add("sound", "%s", yes(i.Sound))
	return t
}
