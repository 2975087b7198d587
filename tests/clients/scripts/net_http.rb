require "net/http"
url = URI(ARGV[0] + "/predict")
body = File.read(ARGV[1])
Net::HTTP.start(url.host, url.port) do |http|
  100.times { puts http.post(url.path, body, "content-type" => "application/json").code }
end
