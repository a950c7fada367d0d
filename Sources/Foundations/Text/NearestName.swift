/// The number of insertions, deletions, replacements and exchanges of neighbours that turn `a`
/// into `b` (optimal string alignment).
public func editDistance(_ a: String, _ b: String) -> Int {
  let a = Array(a.unicodeScalars.prefix(128))
  let b = Array(b.unicodeScalars.prefix(128))
  var beforeLast = [Int](repeating: 0, count: b.count + 1)
  var last = Array(0...b.count)
  for i in 0..<a.count {
    var row = [i + 1]
    for j in 0..<b.count {
      var cost = Swift.min(last[j] + (a[i] == b[j] ? 0 : 1), last[j + 1] + 1, row[j] + 1)
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
        cost = Swift.min(cost, beforeLast[j - 1] + 1)
      }
      row.append(cost)
    }
    (beforeLast, last) = (last, row)
  }
  return last[b.count]
}

/// The one of `names` that `text` was probably meant to be; nil if it resembles none.
public func nearest(to text: String, among names: [String]) -> String? {
  let scored = names.map { (name: $0, distance: editDistance(text.lowercased(), $0.lowercased())) }
  guard let best = scored.min(by: { $0.distance < $1.distance }) else { return nil }
  return best.distance <= Swift.max(2, best.name.count / 3) && best.distance < best.name.count
    ? best.name : nil
}
