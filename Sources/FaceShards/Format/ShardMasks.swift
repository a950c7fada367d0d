import HierarchicalData

/// What the values of a shard's masks mean.
public enum MaskScale: Hashable, Sendable {
  /// Forged where 1 (or anything but 0): booleans, and bytes of which none is above 1.
  case ones
  /// Forged from 128 on: 0 and 255, and what lies between them at edges.
  case bytes
  /// Bytes of which some are above 1 but none is 128 or more: what they mean is not known, and nothing
  /// counts as forged.
  case unknown(maximum: UInt8)
  /// Nothing but zeros.
  case empty
}

extension MaskScale {
  /// Why masks with such values mark nothing; `nil` where they mark something.
  public var problem: String? {
    switch self {
    case .ones, .bytes: nil
    case .unknown(let maximum):
      "the largest value of its masks is \(maximum), so nothing in them counts as forged; expected "
        + "255 where forged, or 1 where no value is above 1"
    case .empty: "its masks hold nothing but 0"
    }
  }

  /// Turns values of this scale into 255 where forged, in place. Those of `bytes` stay as they are.
  func normalise(_ mask: UnsafeMutableBufferPointer<UInt8>) {
    guard self == .ones else { return }
    for pixel in mask.indices { mask[pixel] = mask[pixel] == 0 ? 0 : 255 }
  }

  /// The scale that a type has by itself: `ones` of booleans, `nil` of bytes, whose values decide.
  ///
  /// - Throws: ``ShardError`` of any other type, and of masks that don't fit to the images.
  static func ofType(
    _ masks: HDF5Dataset, count: Int, height: Int, width: Int, path: String
  ) throws -> MaskScale? {
    let shape = [count, height, width]
    let isShaped = masks.shape == shape || masks.shape == shape + [1]
    func refuse(_ expected: String) -> ShardError {
      ShardError(
        file: path,
        reason: "masks are \(masks.type) of shape \(masks.shape), expected \(expected) of shape "
          + "[\(count), \(height), \(width)]")
    }
    switch masks.type {
    case .uint8:
      guard isShaped else { throw refuse("uint8") }
      return nil
    case .bitField(bits: 8): break
    case .enumeration(let type):
      // By its names, as labels are.
      guard let no = type.name(of: 0), let yes = type.name(of: 1), type.count == 2,
        LabelNames.label(no) == 0, LabelNames.label(yes) == 1
      else { throw refuse("uint8 (255 or 1 where forged) or bool") }
    default: throw refuse("uint8 (255 or 1 where forged) or bool")
    }
    guard isShaped else { throw refuse("bool") }
    return .ones
  }
}
