# Statements by the gem sqlite3: `sqlite.rb FILE`.
require "sqlite3"

store = SQLite3::Database.new(ARGV[0])
store.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'canary1')")
store.execute("INSERT INTO t VALUES (?, ?)", [2, "canary2"])
begin
  store.execute("INSERT INTO t VALUES (2, 'canary')")
rescue SQLite3::ConstraintException => error
  puts error.code
end
p store.execute("SELECT v FROM t WHERE v <> 'canary'")
store.transaction { store.execute("DELETE FROM t WHERE id = ?", [1]) }
p store.get_first_value("SELECT count(*) FROM t")
store.close
