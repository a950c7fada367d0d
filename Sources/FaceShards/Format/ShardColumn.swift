import HierarchicalData

/// A column of classes, one a row: whole numbers however they are stored, or names for them.
///
/// What h5py, PyTables and Keras make of labels reads the same: integers of any width, sign and byte
/// order, booleans (an enumeration of FALSE and TRUE, or a bit field), floating-point numbers that are
/// whole, each of shape [N] or [N, 1]. The numbers of other enumerations mean what their names say.
struct ShardColumn {
  /// The numbers in the file.
  let values: [Int64]
  /// What gives the numbers their meaning; `nil` where they have it themselves.
  let names: HDF5Enumeration?

  /// - Parameters:
  ///   - dataset: "labels" or "methods".
  ///   - row: what one value is called in messages.
  ///   - expected: what it should be.
  init(
    _ dataset: HDF5Dataset, count: Int, row: String, expected: String, path: String
  ) throws {
    func refuse(_ reason: String) -> ShardError { ShardError(file: path, reason: reason) }
    let name = dataset.name
    guard dataset.shape == [count] || dataset.shape == [count, 1] else {
      throw refuse("\(name) have shape \(dataset.shape), expected [\(count)] as there are images")
    }
    if let reason = try dataset.storage(isMeasured: false).unreadableBecause {
      throw refuse("\(name) are \(reason)")
    }
    switch dataset.type {
    case .enumeration(let type) where !type.isBoolean:
      names = type
      values = try dataset.readAll(as: Int64.self)
    case let type where type.isWholeNumber:
      names = nil
      values = try dataset.readAll(as: Int64.self)
    case .floatingPoint(let bits):
      names = nil
      values = try dataset.readAll(as: Double.self).enumerated().map { place, value in
        guard let whole = Int64(exactly: value) else {
          let shown = bits > 32 ? "\(value)" : "\(Float(value))"
          throw refuse(
            "row \(place): the \(row) is \(shown), which is no whole number, expected \(expected); "
              + "soft ones are not read")
        }
        return whole
      }
    case .string:
      throw refuse("\(name) are texts (\(dataset.type)), expected uint8: \(expected)")
    default:
      throw refuse("\(name) are \(dataset.type), expected uint8: \(expected)")
    }
  }

  /// Every value as the number of a class.
  ///
  /// - Parameters:
  ///   - numbers: what a name stands for; `nil` if it stands for nothing.
  ///   - unknown: what is thrown of a row whose name, if it has one, stands for nothing.
  func classes(
    of numbers: (String) -> Int64?, unknown: (_ row: Int, _ name: String?) -> ShardError
  ) throws -> [Int64] {
    guard let names else { return values }
    var known: [Int64: Int64] = [:]
    for member in names.members {
      if let name = names.name(of: member.value), let number = numbers(name) {
        known[member.value] = number
      }
    }
    return try values.enumerated().map { row, value in
      guard let number = known[value] else { throw unknown(row, names.name(of: value)) }
      return number
    }
  }
}

/// The names that say whether an image is real or fake, in whatever case.
enum LabelNames {
  private static let real: Set = [
    "real", "false", "original", "pristine", "genuine", "authentic", "0_real",
  ]
  private static let fake: Set = [
    "fake", "true", "forged", "manipulated", "tampered", "altered", "synthetic", "generated",
    "deepfake", "1_fake",
  ]

  /// 0 for real (FALSE: no forgery), 1 for fake; `nil` for a name that says neither.
  static func label(_ name: String) -> Int64? {
    let name = name.lowercased()
    return real.contains(name) ? 0 : fake.contains(name) ? 1 : nil
  }
}
