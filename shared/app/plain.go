package app

import (
	"net"
	"net/http"
	"time"
)

// PlainClient is for requests that are signed here: they follow no redirect, for a signature holds for one host.
func PlainClient() *http.Client {
	return &http.Client{
		Timeout: CallTimeout,
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
			TLSHandshakeTimeout: 3 * time.Second, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 4, IdleConnTimeout: 90 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
