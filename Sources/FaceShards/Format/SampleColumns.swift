/// The methods of samples one after another, as indices into a list of names: bytes that somebody else keeps.
public struct SampleMethods: RandomAccessCollection, Sendable {
  /// Keeps the bytes as long as somebody looks at them.
  final class Storage: @unchecked Sendable {
    let bytes: UnsafeBufferPointer<UInt8>
    /// What the bytes are a part of; `nil` where they are the storage's own.
    private let owner: AnyObject?

    init(_ bytes: UnsafeBufferPointer<UInt8>, owner: AnyObject) {
      self.bytes = bytes
      self.owner = owner
    }

    init(_ values: [UInt8]) {
      let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: values.count)
      _ = copy.initialize(from: values)
      bytes = UnsafeBufferPointer(copy)
      owner = nil
    }

    deinit { if owner == nil { bytes.deallocate() } }
  }

  private let storage: Storage

  init(_ storage: Storage) { self.storage = storage }

  public var startIndex: Int { 0 }
  public var endIndex: Int { storage.bytes.count }
  public subscript(sample: Int) -> UInt8 {
    precondition((0..<endIndex).contains(sample), "sample \(sample) of \(endIndex)")
    return storage.bytes[sample]
  }

  public func withContiguousStorageIfAvailable<Result>(
    _ body: (UnsafeBufferPointer<UInt8>) throws -> Result
  ) rethrows -> Result? { try body(storage.bytes) }
}

/// The labels of samples: 0 real, 1 fake. They are not kept: exactly the images of method 0 are real.
public struct SampleLabels: RandomAccessCollection, Sendable {
  let methods: SampleMethods

  public var startIndex: Int { 0 }
  public var endIndex: Int { methods.endIndex }
  public subscript(sample: Int) -> UInt8 { methods[sample] == 0 ? 0 : 1 }
}

extension SampleMethods: Equatable {
  public static func == (left: Self, right: Self) -> Bool { left.elementsEqual(right) }
  public static func == (left: Self, right: [UInt8]) -> Bool { left.elementsEqual(right) }
}

extension SampleLabels: Equatable {
  public static func == (left: Self, right: Self) -> Bool { left.elementsEqual(right) }
  public static func == (left: Self, right: [UInt8]) -> Bool { left.elementsEqual(right) }
}
