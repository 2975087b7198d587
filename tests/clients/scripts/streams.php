<?php
$asked = ["http" => ["method" => "POST", "header" => "content-type: application/json", "content" => file_get_contents($argv[2])]];
for ($n = 0; $n < 100; $n++) {
    file_get_contents($argv[1] . "/predict", false, stream_context_create($asked));
    echo explode(" ", $http_response_header[0])[1], "\n";
}
