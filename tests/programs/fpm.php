<?php
// What the FastCGI tests ask of PHP-FPM besides the demo app.
$parts = explode('/', parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH));

switch ($parts[1]) {
    case 'status':
        http_response_code((int) $parts[2]);
        echo "status {$parts[2]}\n";
        break;
    case 'post':
        header('X-Reply: yes');
        echo strlen(file_get_contents('php://input'));
        break;
    case 'params':
        header('Content-Type: application/json');
        echo json_encode($_SERVER, JSON_INVALID_UTF8_SUBSTITUTE);
        break;
    case 'noise':
        error_log(str_repeat('n', 2000));
        echo 'heard';
        break;
    default:
        require $_SERVER['ROUTER'];
}
