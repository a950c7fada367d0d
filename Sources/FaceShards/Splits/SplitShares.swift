/// The parts a data set is cut into, and how large each is: `train=0.7,validation=0.15,test=0.15`.
public struct SplitShares: Sendable, Equatable {
  public let names: [String]
  /// Add up to 1.
  public let shares: [Double]

  public static let standard = SplitShares(
    names: ["train", "validation", "test"], shares: [0.7, 0.15, 0.15])

  /// All for training.
  static let training = SplitShares(names: ["train"], shares: [1])

  /// The shares of other names than these, made to add up to 1; nil if there is none.
  func without(_ taken: [String]) -> SplitShares? {
    let rest = zip(names, shares).filter { !taken.contains($0.0) }
    let sum = rest.reduce(0) { $0 + $1.1 }
    return rest.isEmpty
      ? nil : SplitShares(names: rest.map(\.0), shares: rest.map { $0.1 / sum })
  }

  private init(names: [String], shares: [Double]) {
    self.names = names
    self.shares = shares
  }

  /// Throws ``PackError/usage(_:)`` that quotes what is wrong.
  public init(parsing text: String) throws {
    var names: [String] = []
    var shares: [Double] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let halves = part.split(separator: "=", omittingEmptySubsequences: false)
      guard halves.count == 2, let share = Double(halves[1]), share > 0, share <= 1 else {
        throw PackError.usage(
          "split \"\(part)\": expected NAME=SHARE with a share above 0 and at most 1,"
            + " as in train=0.7,validation=0.15,test=0.15")
      }
      let name = String(halves[0])
      let isPlain = name.unicodeScalars.allSatisfy {
        $0.isASCII && ($0.properties.isAlphabetic || $0.properties.numericType != nil || $0 == "_")
      }
      guard !name.isEmpty, isPlain else {
        throw PackError.usage(
          "split name \"\(name)\": use letters, digits and _; it begins the shards' file names")
      }
      guard !names.contains(name) else {
        throw PackError.usage("split \"\(name)\" is given twice")
      }
      names.append(name)
      shares.append(share)
    }
    let sum = shares.reduce(0, +)
    guard abs(sum - 1) < 1e-3 else {
      throw PackError.usage("the shares of \"\(text)\" add up to \(sum), not to 1")
    }
    self.names = names
    self.shares = shares.map { $0 / sum }
  }
}
