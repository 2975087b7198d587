package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// The default keeps 2 idle connections to a host: with more callers each request opens one anew.
var client = &http.Client{
	Timeout: 5 * time.Second,
	Transport: &http.Transport{
		MaxIdleConnsPerHost: 32,
		MaxConnsPerHost:     32,
		IdleConnTimeout:     60 * time.Second,
	},
}

func ask(client *http.Client, url string, body []byte) {
	answer, err := client.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		fmt.Println(err)
		return
	}
	io.Copy(io.Discard, answer.Body) // a connection is used again only if its answer was read
	answer.Body.Close()
	fmt.Println(answer.StatusCode)
}

func main() {
	body, _ := os.ReadFile(os.Args[2])
	for _, one := range []*http.Client{http.DefaultClient, client} {
		for n := 0; n < 50; n++ {
			ask(one, os.Args[1]+"/predict", body)
		}
	}
}
