/** The contract of a data path, held by the fake one. */
import { FakeDatapath } from '../src/datapath/fake.ts';
import { datapathContract } from './datapath-contract.ts';

datapathContract('fake data path', () => {
  const kernel = new FakeDatapath();
  kernel.refuse(99);
  return { create: () => kernel, devices: [5, 6, 7, 8], refused: 99 };
});
