/// A value of a pickle: plain ones as they are, all others by their place among the machine's nodes,
/// so that they may hold each other, or themselves, however deep.
enum PickleValue {
  case none
  case boolean(Bool)
  case integer(Int)
  /// An integer of more than 64 bits: its bytes, little-endian.
  case wideInteger([UInt8])
  /// A floating-point number, whose value nobody asks for.
  case number
  case text(String)
  /// Bytes, or a text too long to be a name, which are not kept.
  case blob
  case node(Int)

  var node: Int? {
    if case .node(let index) = self { index } else { nil }
  }
  var text: String? {
    if case .text(let text) = self { text } else { nil }
  }
  var integer: Int? {
    if case .integer(let integer) = self { integer } else { nil }
  }
}

/// The name of a class or function in a pickle. Nothing of that name is ever looked for.
struct PickleGlobal {
  let module: String
  let name: String

  var path: String { "\(module).\(name)" }
}

/// What has parts, or is more than a plain value.
struct PickleNode {
  enum Kind {
    case list
    case tuple
    case set
    case dictionary
    case global(PickleGlobal)
    /// An index into the machine's storages.
    case storage(Int)
    /// An index into the machine's tensors.
    case tensor(Int)
    /// A tensor that can't be had from the file, and why.
    case unreadable(String)
    /// A value of a known kind without tensors: a NumPy number, a device, a date.
    case plain
    /// An object of another class, not built: only what the file has of it.
    case object(PickleGlobal)
  }

  var kind: Kind
  /// The parts in order; of a dictionary and an object its keys and values by turns.
  var elements: [PickleValue] = []
  /// Of an object: what it would have been made with and what would have been appended to it.
  var arguments: [PickleValue] = []
  /// Of an object: the states it would have been given.
  var states: [PickleValue] = []

  /// Keys and values of a dictionary, or of what is stored into an object as into one.
  var pairs: [(key: PickleValue, value: PickleValue)] {
    stride(from: 0, to: elements.count - 1, by: 2).map { (elements[$0], elements[$0 + 1]) }
  }
}

/// A range of a storage's elements, as a pickle tells of it.
struct PickledStorage {
  let type: TorchType
  /// The name that its bytes have in the file.
  let key: String
  /// Elements of the whole storage of that name.
  let wholeCount: Int
  /// The elements that this one has.
  let elements: Range<Int>
}

/// A tensor in a storage; checked: every element lies inside it.
struct PickledTensor {
  /// An index into the machine's storages.
  let storage: Int
  let type: TorchType
  let shape: [Int]
  /// Elements from one to the next along each axis.
  let strides: [Int]
  /// The first element, counted in the storage of that name.
  let offset: Int

  /// Number of elements; it does not overflow, nor does the product of those that are not 0.
  var count: Int { shape.contains(0) ? 0 : shape.reduce(1, *) }

  /// The elements of the storage from the first that is used to the last.
  var span: Range<Int> {
    guard count > 0 else { return offset..<offset }
    return offset..<offset + zip(shape, strides).reduce(1) { $0 + ($1.0 - 1) * $1.1 }
  }

  /// Whether they follow one another in row-major order.
  var isContiguous: Bool {
    if count == 0 { return true }
    var expected = 1
    for (extent, stride) in zip(shape, strides).reversed() where extent != 1 {
      guard stride == expected else { return false }
      expected *= extent
    }
    return true
  }
}

/// A type of PyTorch's elements, by the name it has after `torch.`.
struct TorchType: Equatable {
  enum Kind: Equatable {
    case float16, bfloat16, float32, float64
    /// A truth value or an integer: a counter, never a weight.
    case whole
    /// What is not read, in words.
    case other(String)
  }

  let name: String
  let kind: Kind
  /// Bytes of one element.
  let size: Int

  private static let known: [TorchType] = {
    let floating: [(String, Kind, Int)] = [
      ("float16", .float16, 2), ("bfloat16", .bfloat16, 2), ("float32", .float32, 4),
      ("float64", .float64, 8),
    ]
    let whole = [
      ("bool", 1), ("uint8", 1), ("int8", 1), ("int16", 2), ("int32", 4), ("int64", 8),
      ("uint16", 2), ("uint32", 4), ("uint64", 8),
    ]
    let complex = [("complex32", 4), ("complex64", 8), ("complex128", 16)]
    let quantised = [
      ("qint8", 1), ("quint8", 1), ("qint32", 4), ("quint4x2", 1), ("quint2x4", 1),
    ]
    let eighth = ["e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz", "e8m0fnu"].map { "float8_\($0)" }
    return floating.map { TorchType(name: $0.0, kind: $0.1, size: $0.2) }
      + whole.map { TorchType(name: $0.0, kind: .whole, size: $0.1) }
      + complex.map { TorchType(name: $0.0, kind: .other("complex numbers"), size: $0.1) }
      + quantised.map { TorchType(name: $0.0, kind: .other("quantised numbers"), size: $0.1) }
      + eighth.map { TorchType(name: $0, kind: .other("8-bit floating-point numbers"), size: 1) }
  }()

  private static let storages: [String: String] = [
    "HalfStorage": "float16", "BFloat16Storage": "bfloat16", "FloatStorage": "float32",
    "DoubleStorage": "float64", "BoolStorage": "bool", "ByteStorage": "uint8",
    "CharStorage": "int8", "ShortStorage": "int16", "IntStorage": "int32",
    "LongStorage": "int64", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128", "QInt8Storage": "qint8", "QUInt8Storage": "quint8",
    "QInt32Storage": "qint32", "QUInt4x2Storage": "quint4x2", "QUInt2x4Storage": "quint2x4",
    // Bytes, whose type the tensor tells.
    "UntypedStorage": "uint8",
  ]

  /// The type of the elements of a class of storages; nil for any other class.
  init?(storage: PickleGlobal) {
    guard ["torch", "torch.storage", "torch.cuda"].contains(storage.module),
      let name = Self.storages[storage.name]
    else { return nil }
    self.init(name: name)
  }

  /// - Parameter name: without `torch.`.
  init?(name: String) {
    guard let type = Self.known.first(where: { $0.name == name }) else { return nil }
    self = type
  }

  private init(name: String, kind: Kind, size: Int) {
    self.name = name
    self.kind = kind
    self.size = size
  }
}
