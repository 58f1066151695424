<?php
// Statements by PDO and by the class SQLite3: `sqlite.php FILE`.
$store = new PDO("sqlite:$argv[1]");
$store->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
$store->exec("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'canary1')");
$insert = $store->prepare('INSERT INTO t VALUES (?, ?)');
foreach ([2, 3] as $id) $insert->execute([$id, "canary$id"]);
try {
    $insert->execute([3, 'canary']);
} catch (PDOException $error) {
    echo $error->errorInfo[1], "\n";
}
$select = $store->prepare('SELECT v FROM t WHERE id > ?');
$select->execute([1]);
echo implode(',', $select->fetchAll(PDO::FETCH_COLUMN)), "\n";
$other = new SQLite3($argv[1]);
echo $other->querySingle("SELECT count(*) FROM t WHERE v = 'canary2'"), "\n";
$result = $other->query('SELECT id FROM t');
while ($row = $result->fetchArray(SQLITE3_NUM)) echo $row[0], "\n";
$other->exec("DELETE FROM t WHERE v = 'canary3'");
