/// Sets of the numbers below `count`, made one by tying their members: connected components.
struct DisjointSets {
  private var parent: [Int]

  init(count: Int) { parent = Array(0..<count) }

  /// Of every number the least of its set.
  var roots: [Int] {
    var copy = self
    return parent.indices.map { copy.root($0) }
  }

  private mutating func root(_ index: Int) -> Int {
    var index = index
    while parent[index] != index {
      parent[index] = parent[parent[index]]
      index = parent[index]
    }
    return index
  }

  mutating func tie(_ one: Int, _ other: Int) {
    let (one, other) = (root(one), root(other))
    parent[max(one, other)] = min(one, other)
  }
}
