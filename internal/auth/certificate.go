package auth

import (
	"crypto/x509"
	"strings"
)

// CertificateLogin says which part of a client's certificate is its role's name.
type CertificateLogin string

// The parts. Of several alternative names of a kind the first counts.
const (
	LoginByCommonName CertificateLogin = "cn"
	LoginByDNSName    CertificateLogin = "dns"
	LoginByEmail      CertificateLogin = "email"
	LoginByURI        CertificateLogin = "uri"
)

// Name is the login of who shows a certificate; empty: it has none.
func (l CertificateLogin) Name(c *x509.Certificate) string {
	switch l {
	case LoginByDNSName:
		if len(c.DNSNames) > 0 {
			return c.DNSNames[0]
		}
	case LoginByEmail:
		if len(c.EmailAddresses) > 0 {
			return c.EmailAddresses[0]
		}
	case LoginByURI:
		if len(c.URIs) > 0 {
			return c.URIs[0].String()
		}
	case LoginByCommonName, "":
		return c.Subject.CommonName
	}
	return ""
}

// SplitSubject takes "<cluster>_<role>" apart, which is how a key and a certificate name a role of
// a named cluster; any other name is that of a user of the default cluster, and cluster is empty.
func SplitSubject(name string) (cluster, role string) {
	cluster, role, found := strings.Cut(name, "_")
	if !found || !IsClusterID(cluster) {
		return "", name
	}
	return cluster, role
}
