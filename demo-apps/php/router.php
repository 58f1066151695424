<?php
// `php -S 127.0.0.1:8000 router.php`. `/fetch` uses PHP's own streams, `/fetch-curl` the curl extension.
$upstream = getenv('UPSTREAM') ?: 'http://127.0.0.1:5001';
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$query = $_SERVER['QUERY_STRING'] ?? '';
$id = $_GET['id'] ?? null;

function json($value): void
{
    header('Content-Type: application/json');
    echo json_encode($value, JSON_UNESCAPED_SLASHES);
}

switch ($path) {
    case '/':
        header('Content-Type: text/plain');
        echo "hello from php\n";
        break;
    case '/echo':
        usleep(1000 * (int) ($_GET['delay'] ?? 0));
        json(['id' => $id, 'headers' => array_change_key_case(getallheaders())]);
        break;
    case '/fetch':
        json(['id' => $id, 'upstream' => json_decode(file_get_contents("$upstream/echo?$query"))]);
        break;
    case '/fetch-curl':
        $call = curl_init("$upstream/echo?$query");
        curl_setopt($call, CURLOPT_RETURNTRANSFER, true);
        if (getenv('SSL_CERT_FILE')) {  // libcurl, unlike the command, does not look there itself
            curl_setopt($call, CURLOPT_CAINFO, getenv('SSL_CERT_FILE'));
        }
        json(['id' => $id, 'upstream' => json_decode(curl_exec($call))]);
        break;
    default:
        http_response_code(404);
        echo "not found\n";
}
