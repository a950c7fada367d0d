/// What the masks of a shard's fake images hold.
public struct MaskContents: Sendable, Equatable {
  /// Different values, ascending.
  public let values: [UInt8]
  public let scale: MaskScale
  /// Fake images of the shard, and those whose masks were looked at.
  public let fakes: Int
  public let lookedAt: Int
  /// Those of them of which something is marked as forged.
  public let marked: Int
  /// Marked pixels of those looked at, of all their pixels.
  public let share: Double

  /// Masks that are looked at: all of a shard's may be many gigabytes.
  static let looked = 64

  /// The shard must have masks.
  public init(of shard: Shard) throws {
    let rows = (0..<shard.count).filter { shard.labels[$0] != 0 }
    let step = max(1, (rows.count + Self.looked - 1) / Self.looked)
    let pixels = shard.height * shard.width
    let scale = try shard.maskScale()
    var mask = [UInt8](repeating: 0, count: pixels)
    var seen = [Bool](repeating: false, count: 256)
    var (lookedAt, marked, forged) = (0, 0, 0)
    for place in stride(from: 0, to: rows.count, by: step) {
      try mask.withUnsafeMutableBufferPointer { mask in
        try shard.readStoredMask(rows[place], into: mask)
        for value in mask { seen[Int(value)] = true }
        scale.normalise(mask)
      }
      let count = mask.count { $0 >= 128 }
      lookedAt += 1
      marked += count > 0 ? 1 : 0
      forged += count
    }
    self.scale = scale
    values = (0..<256).filter { seen[$0] }.map { UInt8($0) }
    fakes = rows.count
    (self.lookedAt, self.marked) = (lookedAt, marked)
    share = lookedAt == 0 ? 0 : Double(forged) / Double(lookedAt * pixels)
  }

  /// As in "0 and 255, forged from 128 on; 6 of 6 fake images are marked, 11.7 % of their pixels".
  public var line: String {
    if fakes == 0 { return "nothing to mark, as no image is fake" }
    let found =
      values.count <= 4
      ? values.map { "\($0)" }.joined(separator: " and ")
      : "\(values.count) values from \(values[0]) to \(values.last!)"
    let meaning =
      switch scale {
      case .ones: "forged where 1"
      case .bytes: "forged from 128 on"
      case .unknown, .empty: "nothing forged"
      }
    let all = lookedAt == fakes ? "" : " looked at, of \(fakes),"
    let tenths = Int((share * 1000).rounded())
    return "\(found), \(meaning); \(marked) of \(lookedAt) fake images\(all) are marked, "
      + "\(tenths / 10).\(tenths % 10) % of their pixels"
  }
}
