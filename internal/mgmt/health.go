package mgmt

import "net/http"

func (a *API) healthRoutes() []route {
	ok := func(*call) (any, error) { return map[string]string{"status": "ok"}, nil }
	return []route{
		{http.MethodGet, "/api/health/checks/alarms", needLogin, a.alarms},
		{http.MethodGet, "/api/health/checks/local-alarms", needLogin, a.alarms},
		{http.MethodGet, "/api/health/checks/virtual-hosts", needLogin, ok},
		{http.MethodGet, "/api/health/checks/ready-to-serve-clients", needLogin, ok},
		{http.MethodGet, "/api/aliveness-test/{vhost}", needVhost, ok},
	}
}

// alarms fails while publishers wait for memory.
func (a *API) alarms(*call) (any, error) {
	if a.Broker.Memory().Over() {
		return nil, &statusError{http.StatusServiceUnavailable, "failed", "publishers wait: the memory for messages is full"}
	}
	return map[string]string{"status": "ok"}, nil
}
