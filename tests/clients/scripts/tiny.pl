use strict; use warnings; use HTTP::Tiny;
my ($url, $file) = @ARGV;
open my $opened, "<", $file or die; local $/; my $body = <$opened>;
my $client = HTTP::Tiny->new;
for (1 .. 100) {
    print $client->post("$url/predict", { content => $body, headers => { "content-type" => "application/json" } })->{status}, "\n";
}
