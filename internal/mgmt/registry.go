package mgmt

// Entry is one route of the registry, to be documented.
type Entry struct {
	Method, Path string
	// Who says who may call it.
	Who string
}

// Registry returns all routes.
func Registry() []Entry {
	var list []Entry
	for _, r := range (&API{}).registry() {
		list = append(list, Entry{r.method, r.path, r.need.String()})
	}
	return list
}

// String says who it is.
func (n need) String() string {
	switch n {
	case needLogin:
		return "management"
	case needMonitor:
		return "monitoring"
	case needObjects:
		return "monitoring; an administrator of a cluster sees what is in it"
	case needVhost:
		return "management, who may enter the vhost"
	case needCluster:
		return "administrator of the cluster"
	case needAdmin:
		return "administrator"
	}
	return "nobody"
}
