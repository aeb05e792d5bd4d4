package meta

import "time"

// How many there may be. The refusal names the limit.
const (
	// MaxClusters is the number of clusters in an installation.
	MaxClusters = 10_000
	// MaxVhosts is the number of vhosts in a cluster (TDMQ's limit).
	MaxVhosts = 250
	// MaxRoles is the number of roles and users in a cluster.
	MaxRoles = 1_000
	// MaxExchanges is the number of durable exchanges in a vhost.
	MaxExchanges = 100_000
	// MaxQueues is the number of durable queues in a vhost.
	MaxQueues = 100_000
	// MaxBindings is the number of durable bindings in a vhost.
	MaxBindings = 500_000
	// MaxPolicies is the number of policies and operator policies in a vhost.
	MaxPolicies = 1_000
	// MaxTopics is the number of topic permissions of a role.
	MaxTopics = 1_000
	// MaxParameters is the number of global parameters, and MaxParameter the size of the largest
	// value of one, in bytes of JSON.
	MaxParameters = 1_000
	MaxParameter  = 256 << 10
)

// How long they may be.
const (
	// MinClusterName is the length of the shortest name of a cluster, in bytes.
	MinClusterName = 3
	// MaxClusterName is the length of the longest name of a cluster, in bytes.
	MaxClusterName = 64
	// MaxVhostName is the length of the longest vhost name in a named cluster, in bytes.
	MaxVhostName = 64
	// MaxName is the length of the longest name of a vhost in the default cluster, and of an
	// exchange, queue or routing key everywhere, in bytes: one AMQP short string.
	MaxName = 255
	// MaxRemark is the length of the longest remark on a cluster or role, in characters.
	MaxRemark = 128
	// MaxDescription is the length of the longest description of a vhost, in characters.
	MaxDescription = 1024
	// MaxTags is the number of tags that one vhost, role or user carries.
	MaxTags = 16
	// MaxTag is the length of the longest tag, in bytes.
	MaxTag = 64
	// MaxArguments is the size of the largest argument table of an exchange, queue or binding, in
	// bytes of its AMQP encoding.
	MaxArguments = 128 << 10
	// MaxRecord is the size of the largest record, in bytes. The limits above keep records far
	// below it; it bounds what a damaged log can make us read.
	MaxRecord = 1 << 20
)

// How long and how often keys overlap.
const (
	// MaxKeyOverlap is how long a replaced key can stay good.
	MaxKeyOverlap = 90 * 24 * time.Hour
	// MaxOldKeys is how many replaced keys of one role can be good at a time.
	MaxOldKeys = 8
	// MaxKeyLifetime is the longest life of a key that expires.
	MaxKeyLifetime = 10 * 365 * 24 * time.Hour
)

const (
	// How many argon2 computations run at once, of some 25 ms and 19 MiB each.
	maxHashes = 2
	// How many successful logins are remembered.
	maxLogins = 16_384
	// How many different permissions are kept compiled.
	maxRights = 4_096
)
