import CHDF5
import Foundation

/// Where the rows of a dataset of bytes lie in its file, each in one piece, so that they can be read past the
/// library and its lock, by as many threads as there are: one read a row.
///
/// Known is this of datasets in one piece, and of those with a row a chunk (uncompressed or gzip, with or
/// without checksums, by all or no chunks), in files with trees of the usual kind, which `StructureCheck` has
/// walked through. All others are read by the library.
public struct StoredRows: Sendable {
  public let count: Int
  /// Bytes of a row, unpacked.
  public let rowSize: Int
  /// Whether a row is compressed by deflate.
  public let isCompressed: Bool
  /// Whether a row has a checksum of 4 bytes behind it.
  public let hasChecksum: Bool
  /// Addresses and sizes, see ``RowPlaces``.
  public let places: RowPlaces

  public init(
    count: Int, rowSize: Int, isCompressed: Bool, hasChecksum: Bool, places: RowPlaces
  ) {
    (self.count, self.rowSize) = (count, rowSize)
    (self.isCompressed, self.hasChecksum, self.places) = (isCompressed, hasChecksum, places)
  }

  /// Bytes that all rows take in the file.
  public var storedBytes: Int { places.storedBytes(rows: count) }

  /// Reads a row.
  ///
  /// - Parameters:
  ///   - descriptor: of the file, open for reading.
  ///   - buffer: room for a row.
  ///   - path: for the error.
  ///   - name: the dataset's, for the error.
  /// - Throws: `HDF5Error` if the system refuses, the checksum or the size is wrong.
  public func read(
    _ row: Int, from descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer, path: String,
    name: String
  ) throws(HDF5Error) {
    precondition((0..<count).contains(row) && buffer.count >= rowSize, "row \(row) of \(count)")
    let (offset, size) = places.place(of: row)
    let problem: Problem?
    if isCompressed {
      problem = withUnsafeTemporaryAllocation(byteCount: size, alignment: 16) { stored in
        Self.read(descriptor, offset, stored, .init(start: nil, count: 0))
          ?? unpack(UnsafeRawBufferPointer(stored), into: buffer)
      }
    } else {
      problem = withUnsafeTemporaryAllocation(byteCount: 4, alignment: 4) { checksum in
        let room = UnsafeMutableRawBufferPointer(rebasing: buffer[..<rowSize])
        let behind = UnsafeMutableRawBufferPointer(rebasing: checksum[..<(hasChecksum ? 4 : 0)])
        return Self.read(descriptor, offset, room, behind)
          ?? (hasChecksum
            ? verify(UnsafeRawBufferPointer(room), UnsafeRawBufferPointer(checksum)) : nil)
      }
    }
    guard let problem else { return }
    throw HDF5Error(
      file: path, object: name, action: "cannot read row \(row)", reason: problem.reason,
      isInputOutput: problem.isInputOutput)
  }

  private struct Problem {
    var reason: String
    var isInputOutput = false
  }

  private func unpack(
    _ stored: UnsafeRawBufferPointer, into buffer: UnsafeMutableRawBufferPointer
  ) -> Problem? {
    let length = stored.count - (hasChecksum ? 4 : 0)
    guard length >= 0 else { return Problem(reason: "a compressed chunk is damaged") }
    let packed = UnsafeRawBufferPointer(rebasing: stored[..<length])
    if hasChecksum,
      let problem = verify(packed, UnsafeRawBufferPointer(rebasing: stored[length...]))
    {
      return problem
    }
    return rfm_h5_inflate(packed.baseAddress, packed.count, buffer.baseAddress, rowSize) == 1
      ? nil : Problem(reason: "a compressed chunk is damaged")
  }

  /// - Parameter stored: the checksum behind the bytes.
  private func verify(
    _ bytes: UnsafeRawBufferPointer, _ stored: UnsafeRawBufferPointer
  ) -> Problem? {
    let found = UInt32(littleEndian: stored.loadUnaligned(as: UInt32.self))
    return Fletcher32.matches(found, Fletcher32.checksum(bytes))
      ? nil : Problem(reason: "data error detected by Fletcher32 checksum")
  }

  /// Fills `first`, then `second`, with what the file has from `offset` on.
  private static func read(
    _ descriptor: Int32, _ offset: Int, _ first: UnsafeMutableRawBufferPointer,
    _ second: UnsafeMutableRawBufferPointer
  ) -> Problem? {
    var done = 0
    let total = first.count + second.count
    while done < total {
      var parts = [iovec(), iovec()]
      if done < first.count {
        parts[0] = iovec(iov_base: first.baseAddress! + done, iov_len: first.count - done)
      }
      let rest = max(0, done - first.count)
      if rest < second.count {
        parts[1] = iovec(iov_base: second.baseAddress! + rest, iov_len: second.count - rest)
      }
      let got = preadv(descriptor, parts, 2, off_t(offset + done))
      if got < 0 && errno == EINTR { continue }
      if got < 0 { return Problem(reason: String(cString: strerror(errno)), isInputOutput: true) }
      if got == 0 { return Problem(reason: "the file ends before it") }
      done += got
    }
    return nil
  }
}
