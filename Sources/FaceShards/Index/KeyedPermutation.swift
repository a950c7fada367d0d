import Tensors

/// A random permutation of 0..<count that is computed place by place, and kept nowhere: whoever knows
/// the key knows all of it.
///
/// A number is a row and a column of a grid that is a little larger than the range. By turns its column
/// is shifted by a random number that belongs to its row, and its row by one that belongs to its new
/// column, so that every round can be undone: a Feistel network. A result outside the range goes through
/// it again, until it lies within.
///
/// The number of columns is even, since shifts of an odd number of columns and rows would make even
/// permutations only. 24 rounds are what Mitchell and others found to pass their tests of permutations of
/// any length; here the random numbers are Philox's, so that what is left of an order is a matter of the
/// smallest ranges: the probability of any order of four is off by 2·10⁻⁷ of itself, of eight by 0.05.
///
/// Sources: Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002, sections 4 and 5
/// (walking round, and networks of two unequal sides); Mitchell, Stokes, Frank, Holmes,
/// "Bandwidth-optimal random shuffling for GPUs", ACM TOPC 2022.
struct KeyedPermutation: Sendable {
  static let rounds = 24

  let count: Int
  private let columns: UInt64
  private let rows: UInt64
  private let generator: CounterGenerator

  /// - Parameters:
  ///   - count: 1 or more, below 2³².
  ///   - generator: a stream that nothing else is drawn from.
  init(count: Int, generator: CounterGenerator) {
    precondition((1..<1 << 32).contains(count), "a permutation is of 1 to 2^32 - 1 places")
    self.count = count
    self.generator = generator
    columns = max(2, 2 * UInt64((Double(count).squareRoot() / 2).rounded()))
    rows = (UInt64(count) + columns - 1) / columns
  }

  /// What stands at a place.
  func element(at place: Int) -> Int {
    var value = UInt64(place)
    repeat { value = forward(value) } while value >= UInt64(count)
    return Int(value)
  }

  /// Where something stands.
  func place(of element: Int) -> Int {
    var value = UInt64(element)
    repeat { value = backward(value) } while value >= UInt64(count)
    return Int(value)
  }

  private func forward(_ value: UInt64) -> UInt64 {
    var (row, column) = value.quotientAndRemainder(dividingBy: columns)
    for round in stride(from: 0, to: Self.rounds, by: 2) {
      column += shift(round, row, below: columns)
      if column >= columns { column -= columns }
      row += shift(round + 1, column, below: rows)
      if row >= rows { row -= rows }
    }
    return row * columns + column
  }

  private func backward(_ value: UInt64) -> UInt64 {
    var (row, column) = value.quotientAndRemainder(dividingBy: columns)
    for round in stride(from: Self.rounds - 2, through: 0, by: -2) {
      row += rows - shift(round + 1, column, below: rows)
      if row >= rows { row -= rows }
      column += columns - shift(round, row, below: columns)
      if column >= columns { column -= columns }
    }
    return row * columns + column
  }

  /// The random number of a round and a row or column. 64 bits are spread over less than 2¹⁷ numbers, so
  /// that they are all equally likely but for 2⁻⁴⁷.
  private func shift(_ round: Int, _ input: UInt64, below limit: UInt64) -> UInt64 {
    let block = generator.block(at: UInt64(round) << 32 | input)
    return limit.multipliedFullWidth(by: UInt64(block.x) | UInt64(block.y) << 32).high
  }
}
