import CHDF5

/// Numbers with names, as h5py stores booleans (FALSE and TRUE) and as people store classes.
public struct HDF5Enumeration: Hashable, Sendable, CustomStringConvertible {
  /// A name and the number that it stands for.
  public struct Member: Hashable, Sendable {
    public var name: String
    public var value: Int64

    public init(name: String, value: Int64) {
      self.name = name
      self.value = value
    }
  }

  /// The names that are kept of an enumeration: as many as there may be methods.
  public static let memberLimit = 256

  /// In the order of the file; at most ``memberLimit``.
  public var members: [Member]
  /// How many names the file has.
  public var count: Int
  /// Bits of the numbers in the file.
  public var bits: Int

  public init(_ members: [Member], count: Int? = nil, bits: Int = 8) {
    self.members = members
    self.count = count ?? members.count
    self.bits = bits
  }

  /// Whether the names are FALSE and TRUE, in whatever case, for 0 and 1.
  public var isBoolean: Bool {
    count == 2 && name(of: 0)?.lowercased() == "false" && name(of: 1)?.lowercased() == "true"
  }

  /// The one name of a number; `nil` if it has none, or several, which no library writes.
  public func name(of value: Int64) -> String? {
    let names = members.filter { $0.value == value }
    return names.count == 1 && count == members.count ? names[0].name : nil
  }

  /// As in "an enumeration of fake = 0, real = 1".
  public var description: String {
    if isBoolean { return "bool" }
    let shown = members.prefix(4).map { "\($0.name.prefix(40)) = \($0.value)" }
    return "an enumeration of " + shown.joined(separator: ", ")
      + (count > shown.count ? " and \(count - shown.count) more" : "")
  }

  /// The names of a dataset's enumeration.
  init(of dataset: Int64, bits: Int, file: String, name: String) throws(HDF5Error) {
    var list = [rfm_h5_member](repeating: rfm_h5_member(), count: Self.memberLimit)
    var count: UInt64 = 0
    try Shim.check(file: file, object: name, action: "cannot open") { error, size in
      list.withUnsafeMutableBufferPointer {
        rfm_h5_enumeration(dataset, $0.baseAddress, UInt64($0.count), &count, error, size)
      }
    }
    members = list.prefix(Int(clamping: count)).map { member in
      let bytes = elements(of: member.name, count: Int(RFM_H5_MEMBER_NAME), as: UInt8.self)
      return Member(
        name: String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self), value: member.value)
    }
    self.count = Int(clamping: count)
    self.bits = bits
  }
}
