# Gets each URL of its arguments with LWP, one after the other on kept connections, and prints the bodies.
use strict;
use warnings;
use LWP::UserAgent;

my $agent = LWP::UserAgent->new(agent => 'fetch/1', keep_alive => 1);
for my $url (@ARGV) {
    my $response = $agent->get($url);
    die $response->status_line . "\n" unless $response->is_success;
    print $response->content;
}
